import { createHash } from "node:crypto";
import { makeSafetensors, writeTree } from "./models.ts";

/** Bytes of each tensor; from 2 MiB on a tensor is a chunk of its own (docs/format.md). */
export const tensorBytes = 9_437_184;

/**
 * Writes a model whose tensors follow from their seeds: equal seeds, equal bytes. The last file is
 * empty, one lies in a folder.
 */
export async function writeRandomModel(folder: string, seeds: readonly string[]): Promise<void> {
  const tensors = seeds.map((seed, at) => ({
    name: `model.layers.${at}.mlp.up_proj.weight`,
    dtype: "F32",
    shape: [tensorBytes / 4096, 1024],
    bytes: randomBytes(seed, tensorBytes),
  }));
  await writeTree(folder, {
    "config.json": JSON.stringify({ model_type: "random", layers: seeds.length }),
    "model.safetensors": makeSafetensors(tensors, { format: "pt" }),
    "tokenizer/merges and more.txt": randomBytes(`merges of ${seeds[0]}`, 300_000),
    "tokenizer/none.txt": "",
  });
}

/** `size` bytes that follow from the seed. */
export function randomBytes(seed: string, size: number): Buffer {
  return createHash("shake256", { outputLength: size }).update(seed).digest();
}
