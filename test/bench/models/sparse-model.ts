import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type PlannedTensor, planLlama, safetensorsHeader } from "./llama-shape.ts";
import { shardsFor } from "./simulated-model.ts";

const stepBytes = 1_048_576;

/**
 * Writes a model of about `bytes` that takes next to no room: holes, and eight bytes that are there once
 * at each MiB and where a tensor starts, so that no two chunks are equal. Returns the bytes it has
 * for a reader.
 */
export function writeSparseModel(folder: string, bytes: number): number {
  mkdirSync(folder, { recursive: true });
  let [total, marks] = [0, 0n];
  const mark = Buffer.alloc(8);
  for (const { path, tensors } of planLlama(bytes, shardsFor(bytes))) {
    const header = safetensorsHeader(tensors);
    const places = markedPlaces(tensors, header.byteLength);
    const file = openSync(join(folder, path), "wx");
    try {
      writeSync(file, header);
      for (const place of places) {
        marks += 1n;
        mark.writeBigUInt64LE(marks);
        writeSync(file, mark, 0, mark.byteLength, place);
      }
      const size = tensors.reduce((sum, each) => sum + each.size, header.byteLength);
      ftruncateSync(file, size);
      total += size;
    } finally {
      closeSync(file);
    }
  }
  return total;
}

/** Offsets in a file: the start of each tensor, and each step inside it. */
function* markedPlaces(
  tensors: readonly PlannedTensor[],
  from: number,
): Generator<number, void, undefined> {
  let start = from;
  for (const { size } of tensors) {
    for (let at = 0; at < size; at += stepBytes) yield start + at;
    start += size;
  }
}
