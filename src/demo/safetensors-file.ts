import { createCipheriv, hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type Tensor, tensorBytes } from "./llama-shape.ts";

const piece = Buffer.alloc(4 * 1024 ** 2);

/**
 * Writes a BF16 safetensors file. A tensor's bytes follow from its name and what `seedOf` says of
 * it, so that models of one seed share them; they do not compress, as real weights do not.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly Tensor[],
  options: { readonly seedOf: (name: string) => string; readonly signal: AbortSignal },
): Promise<void> {
  const { seedOf, signal } = options;
  await using file = await open(path, "w");
  await file.write(makeHeader(tensors));
  for (const tensor of tensors) {
    signal.throwIfAborted();
    await writeNoise(file, tensorBytes(tensor), `${seedOf(tensor.name)} ${tensor.name}`);
  }
}

function makeHeader(tensors: readonly Tensor[]): Buffer {
  let end = 0;
  const entries = tensors.map((tensor) => {
    const begin = end;
    end += tensorBytes(tensor);
    return [tensor.name, { dtype: "BF16", shape: tensor.shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
  const padded = json.padEnd(Math.ceil(json.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, Buffer.from(padded)]);
}

/** AES in counter mode over zeros: as fast as the disk, and the same on every machine. */
async function writeNoise(file: FileHandle, bytes: number, seed: string): Promise<void> {
  const key = hash("sha256", seed, "buffer").subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  for (let left = bytes; left > 0; left -= piece.byteLength)
    await file.write(cipher.update(piece.subarray(0, Math.min(left, piece.byteLength))));
}
