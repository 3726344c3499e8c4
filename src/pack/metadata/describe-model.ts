import { quotePath } from "../../core/model-path.ts";
import type { Abortable } from "../../core/progress.ts";
import type { Source, SourceFile } from "../../source/source.ts";
import { describeGgufFiles } from "./describe-gguf.ts";
import { describeSafetensors } from "./describe-safetensors.ts";
import { describeCard } from "./model-card.ts";
import { describeAdapter, describeConfig } from "./model-config.ts";
import {
  type Findings,
  firstFacts,
  type ModelFacts,
  stated,
  toAnnotations,
} from "./model-facts.ts";
import { readObject, readStart } from "./source-reader.ts";

const maxConfigBytes = 4_194_304;
const maxCardBytes = 1_048_576;
const maxPointerBytes = 1024;

const formats: readonly (readonly [string, RegExp])[] = [
  ["safetensors", /\.safetensors$/],
  ["gguf", /\.gguf$/],
  ["onnx", /\.onnx(?:_data|\.data)?$/],
  ["pt", /(?:\.pth?|(?:^|\/)(?:pytorch|adapter)_model[^/]*\.bin)$/],
];

export interface ModelDescription {
  /** Manifest annotations, by the keys of `modelAnnotations`; the same for the same source. */
  readonly annotations: Record<string, string>;
  readonly warnings: string[];
}

/**
 * Finds out what a model is from its card, configuration and weights' headers; no tensor is read.
 * What is malformed costs a warning (a weights file's header is left to whoever cuts it). Rejects with SOURCE_UNREADABLE when a file cannot be read.
 */
export async function describeModel(
  source: Source,
  options: Abortable = {},
): Promise<ModelDescription> {
  const { files } = source;
  const card = await readCard(files);
  const config = await readConfig(files, "config.json", describeConfig);
  const adapter = await readConfig(files, "adapter_config.json", describeAdapter);
  const safetensors = await describeSafetensors(files, options);
  const gguf = await describeGgufFiles(files, options);
  const pointers = await findPointers(files);
  const facts = firstFacts(
    adapter.facts,
    card.facts,
    ...rankWeights(config.facts, safetensors.facts),
    gguf,
    stated({ format: formatOf(files) }),
  );
  const findings = [card, config, adapter, safetensors, pointers];
  return {
    annotations: toAnnotations(facts),
    warnings: findings.flatMap((finding) => finding.warnings),
  };
}

/**
 * The weights know their precision best. Quantized ones do not: several values are packed into one
 * integer there, so that neither the element type nor the count says anything.
 */
function rankWeights(config: ModelFacts, weights: ModelFacts): ModelFacts[] {
  const { quantization } = config;
  if (quantization === undefined) return [weights, config];
  return /fp8/i.test(quantization) ? [config, weights] : [config];
}

async function readCard(files: readonly SourceFile[]): Promise<Findings> {
  const card = files.find((file) => /^readme\.md$/i.test(file.path));
  if (card === undefined) return { facts: {}, warnings: [] };
  return describeCard(await readStart(card, maxCardBytes), quotePath(card.path));
}

async function readConfig(
  files: readonly SourceFile[],
  name: string,
  describe: (config: Record<string, unknown>) => ModelFacts,
): Promise<Findings> {
  const file = files.find(({ path }) => path === name);
  if (file === undefined) return { facts: {}, warnings: [] };
  const config = await readObject(file, maxConfigBytes);
  return typeof config === "string"
    ? { facts: {}, warnings: [config] }
    : { facts: describe(config), warnings: [] };
}

function formatOf(files: readonly SourceFile[]): string | undefined {
  const sizes = formats.map(([format, pattern]) => ({
    format,
    files: files.filter(({ path }) => pattern.test(path)),
  }));
  const weighed = sizes
    .filter((entry) => entry.files.length > 0)
    .map((entry) => ({
      format: entry.format,
      bytes: entry.files.reduce((sum, file) => sum + file.size, 0),
    }));
  return weighed.sort((a, b) => b.bytes - a.bytes)[0]?.format;
}

/** A clone without Git LFS has text files of three lines in place of its weights. */
async function findPointers(files: readonly SourceFile[]): Promise<Findings> {
  const pointers: string[] = [];
  for (const file of files) {
    const isWeights = formats.some(([, pattern]) => pattern.test(file.path));
    if (!isWeights || file.size > maxPointerBytes) continue;
    const text = await readStart(file, maxPointerBytes);
    if (text.startsWith("version https://git-lfs.")) pointers.push(file.path);
  }
  const [first] = pointers;
  if (first === undefined) return { facts: {}, warnings: [] };
  const what = `${quotePath(first)}${pointers.length > 1 ? ` and ${pointers.length - 1} more` : ""}`;
  return {
    facts: {},
    warnings: [`${what}: Git LFS pointer, not the weights; run "git lfs pull" first`],
  };
}
