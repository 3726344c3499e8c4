import { readGgufHeader } from "../../core/gguf.ts";
import type { Abortable } from "../../core/progress.ts";
import type { SourceFile } from "../../source/source.ts";
import { describeGguf } from "./gguf-facts.ts";
import { firstFacts, type ModelFacts, stated } from "./model-facts.ts";
import { withFile } from "./source-reader.ts";
import { createTensorCount } from "./tensor-count.ts";

/** Folders that hold one model in many quantizations have about thirty. */
const maxFiles = 512;

/**
 * Reads the headers of the model's GGUF files. Split files are one model; several models beside
 * each other (quantizations of one, as a rule) have no common count. Damaged headers are left out,
 * without a warning: whoever cuts such a file into chunks has it.
 */
export async function describeGgufFiles(
  files: readonly SourceFile[],
  { signal }: Abortable,
): Promise<ModelFacts> {
  let isComplete = true;
  const facts: ModelFacts[] = [];
  const count = createTensorCount();
  const models = new Set<string>();
  for (const file of files.filter(isModel).slice(0, maxFiles)) {
    signal?.throwIfAborted();
    const reading = await withFile(file, (readAt) => readGgufHeader(readAt, file.size));
    if (reading.outcome === "damaged") {
      isComplete = false;
      continue;
    }
    models.add(file.path.replace(/-\d{5}-of-\d{5}\.gguf$/, ""));
    facts.push(describeGguf(reading.header));
    count.add("", reading.header.tensors);
  }
  const isOneModel = models.size === 1 && isComplete;
  const { parameters, paramSize } = isOneModel ? count.facts() : {};
  const shared = {
    quantization: distinct(facts.map((fact) => fact.quantization)),
    precision: distinct(facts.map((fact) => fact.precision)),
  };
  return firstFacts(stated({ parameters, paramSize, ...shared }), ...facts);
}

/** A projector for images or sound lies beside the model and is not it. */
function isModel({ path }: SourceFile): boolean {
  return path.endsWith(".gguf") && !/(?:^|\/)mmproj[^/]*$/i.test(path);
}

function distinct(values: readonly (string | undefined)[]): string {
  return [...new Set(values.filter((value) => value !== undefined))].sort().join(",");
}
