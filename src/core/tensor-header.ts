import type { FileHandle } from "node:fs/promises";

/**
 * Reads up to `length` bytes at `offset`, fewer only at the end of the file. A local file, a range
 * of a registry blob and a buffer in memory are all read through it. The caller owns the result.
 */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/** One tensor of a weights file. Neighbours in offset order touch: no gap, no overlap. */
export interface Tensor {
  readonly name: string;
  /** As the format spells it: `BF16`, `F8_E4M3`, `Q4_K`; `type 99` for a GGUF type not known here. */
  readonly dtype: string;
  /** In the file's own order (safetensors: outermost first, GGUF: innermost first); [] is a scalar. */
  readonly shape: readonly number[];
  /** Where it starts in the file, in bytes. */
  readonly offset: number;
  /** Bytes, with the padding up to the next tensor. */
  readonly size: number;
}

/** What stands in front of the tensors of a weights file. Header and tensors cover the whole file. */
export interface TensorHeader<Value> {
  /** Bytes before the first tensor. */
  readonly headerBytes: number;
  /** In file order. */
  readonly tensors: readonly Tensor[];
  readonly metadata: ReadonlyMap<string, Value>;
}

/** A header, or why the file has none that can be trusted: such a file is chunked like any other. */
export type HeaderReading<Header> =
  | { readonly outcome: "read"; readonly header: Header }
  | { readonly outcome: "damaged"; readonly reason: string };

/** How many values a tensor of this shape holds; undefined above 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const extent of shape) {
    count *= extent;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/** Reads ranges of an open file; rejects with Node's own error when the disk fails. */
export function readAtOf(file: FileHandle): ReadAt {
  return async (offset, length) => {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  };
}
