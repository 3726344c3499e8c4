import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { parseAllDocuments } from "yaml";
import { type Fault, isFields } from "./problem.ts";

/** A file of the examples. */
export interface ExampleFile {
  /** As path in the examples' folder, with `/`. */
  readonly file: string;
  readonly text: string;
  /** What a YAML or JSON file holds; empty for others and for what does not parse. */
  readonly documents: readonly unknown[];
}

/** Reads all files below a folder; those that are YAML or JSON are parsed, strictly. */
export async function readExamples(
  root: string,
): Promise<{ files: ExampleFile[]; faults: Fault[] }> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
  const read = await Promise.all(
    paths.toSorted().map(async (file) => parseFile(file, await readFile(join(root, file), "utf8"))),
  );
  return { files: read.map(({ file }) => file), faults: read.flatMap(({ faults }) => faults) };
}

/** Parses one file. Keys that stand twice, and documents that are nothing, are faults. */
export function parseFile(file: string, text: string): { file: ExampleFile; faults: Fault[] } {
  if (!/\.(?:ya?ml|json)$/.test(file)) return { file: { file, text, documents: [] }, faults: [] };
  const parsed = parseAllDocuments(text);
  const faults = parsed.flatMap(({ errors }, index) =>
    errors.map(({ message }) => ({
      file,
      path: `document ${index + 1}`,
      problem: message.split("\n")[0] ?? "",
    })),
  );
  const documents: unknown[] = faults.length > 0 ? [] : parsed.map((document) => document.toJS());
  if (documents.some((document) => document === null))
    faults.push({ file, path: "", problem: "a document in it is empty" });
  return { file: { file, text, documents }, faults };
}

/** What a document is for, by its content and its file's name. */
export type Role = "manifest" | "kustomization" | "patch" | "values" | "pipeline" | "unknown";

/** Tells the role of a document. */
export function roleOf(file: string, document: unknown): Role {
  if (/(?:^|\/)(?:\.gitlab-ci\.yml|\.github\/workflows\/[^/]+\.ya?ml)$/.test(file))
    return "pipeline";
  if (file.endsWith(".values.yaml")) return "values";
  if (file.endsWith(".patch.yaml")) return "patch";
  if (/(?:^|\/)kustomization\.yaml$/.test(file)) return "kustomization";
  const named = isFields(document) && "apiVersion" in document && "kind" in document;
  return named ? "manifest" : "unknown";
}
