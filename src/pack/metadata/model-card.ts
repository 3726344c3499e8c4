import { isRecord } from "../../core/chunk-index.ts";
import { type Findings, stated, textOf, textsOf } from "./model-facts.ts";

const maxFrontMatterChars = 262_144;
const frontMatterPattern = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/;

/** Reads the YAML between the `---` lines at the start of a model card (README.md). */
export async function describeCard(text: string, path: string): Promise<Findings> {
  const frontMatter = frontMatterPattern.exec(text)?.[1];
  if (frontMatter === undefined) return { facts: {}, warnings: [] };
  const card = await parseYaml(frontMatter);
  if (!isRecord(card))
    return { facts: {}, warnings: [`${path}: the front matter is no valid YAML and is left out`] };
  const facts = stated({
    licenses: licenseOf(card),
    base: textsOf(card["base_model"]).join(","),
    task: textOf(card["pipeline_tag"]),
    library: textOf(card["library_name"]),
    title: textOf(card["model_name"]),
  });
  return { facts, warnings: [] };
}

/** A list means that all apply; `other` stands for the name beside it. */
function licenseOf(card: Record<string, unknown>): string {
  const licenses = textsOf(card["license"]);
  const named = textOf(card["license_name"]);
  return licenses
    .map((license) => (license === "other" && named !== undefined ? named : license))
    .join(" AND ");
}

/** Undefined for what is no YAML; an empty document is an empty card. */
async function parseYaml(text: string): Promise<unknown> {
  if (text.length > maxFrontMatterChars) return undefined;
  // Loaded here: most models that are packed again and again have no card.
  const { parse } = await import("yaml");
  try {
    const card: unknown = parse(text, { schema: "core", uniqueKeys: false, logLevel: "error" });
    return card ?? {};
  } catch (error) {
    // A card that does not parse costs a warning, whichever way the parser gave up on it.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
