import { posix } from "node:path";
import { isRecord } from "../../core/chunk-index.ts";
import { quotePath } from "../../core/model-path.ts";
import type { Abortable } from "../../core/progress.ts";
import { readSafetensorsHeader } from "../../core/safetensors.ts";
import type { SourceFile } from "../../source/source.ts";
import type { Findings } from "./model-facts.ts";
import { readObject, withFile } from "./source-reader.ts";
import { createTensorCount } from "./tensor-count.ts";

/** Models of a trillion parameters have an index of some 20 MB. */
const maxIndexBytes = 67_108_864;
const wholeModelNames: ReadonlySet<string> = new Set([
  "model.safetensors",
  "adapter_model.safetensors",
]);

/**
 * Counts parameters and finds the precision from the headers of the model's safetensors files. One
 * damaged header leaves both out, without a warning: whoever cuts that file into chunks has it.
 */
export async function describeSafetensors(
  files: readonly SourceFile[],
  { signal }: Abortable,
): Promise<Findings> {
  const { weights, warnings } = await findWeights(files);
  const count = createTensorCount();
  let isComplete = true;
  for (const file of weights) {
    signal?.throwIfAborted();
    const reading = await withFile(file, (readAt) => readSafetensorsHeader(readAt, file.size));
    if (reading.outcome === "read") count.add(posix.dirname(file.path), reading.header.tensors);
    else isComplete = false;
  }
  return { facts: isComplete ? count.facts() : {}, warnings };
}

/**
 * The files that together are the model once: what its index lists, else the whole model in the
 * top folder, else all there, else (pipelines of several parts) all below.
 */
async function findWeights(
  files: readonly SourceFile[],
): Promise<{ weights: readonly SourceFile[]; warnings: string[] }> {
  const all = files.filter((file) => file.path.endsWith(".safetensors"));
  const top = all.filter((file) => !file.path.includes("/"));
  const warnings: string[] = [];
  const index = files.find((file) => /^[^/]*\.safetensors\.index\.json$/.test(file.path));
  if (index !== undefined && all.length > 0) {
    const listed = await readListedFiles(index);
    if (typeof listed === "string") warnings.push(listed);
    else {
      const weights = all.filter((file) => listed.delete(file.path));
      const [missing] = listed;
      if (missing !== undefined)
        warnings.push(
          `${quotePath(index.path)} lists ${listed.size} files that are not packed, such as ${quotePath(missing)}`,
        );
      if (weights.length > 0) return { weights, warnings };
    }
  }
  const whole = top.filter((file) => wholeModelNames.has(file.path)).slice(0, 1);
  const weights = [whole, top, all].find((choice) => choice.length > 0) ?? [];
  return { weights, warnings };
}

async function readListedFiles(index: SourceFile): Promise<Set<string> | string> {
  const root = await readObject(index, maxIndexBytes);
  if (typeof root === "string") return root;
  const map = root["weight_map"];
  if (!isRecord(map)) return `${quotePath(index.path)} has no weight_map`;
  return new Set(Object.values(map).filter((name) => typeof name === "string"));
}
