import type { Digest } from "../core/digest.ts";
import type { Abortable } from "../core/progress.ts";

/** A slice of a layer, in bytes. */
export interface LayerRange {
  readonly layer: Digest;
  readonly offset: number;
  readonly length: number;
}

/** Where a part of a range is written: `size` bytes at `offset` of a file. */
export interface FileSlice {
  /** Without a path the bytes are only hashed. */
  readonly path: string | undefined;
  readonly offset: number;
  readonly size: number;
  /** Make the file, read-only (0444), in place of one that is there, instead of writing into it. */
  readonly create?: boolean | undefined;
}

export interface ReadIntoOptions extends Abortable {
  /** Called with counts of bytes as they arrive. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Called as slices are written: the number of the first and the digest of each, in order. */
  readonly onSlices?: ((first: number, digests: readonly Digest[]) => void) | undefined;
}

/**
 * Reads one range of a layer straight into files: the slices lie end to end in the range and fill
 * it. Resolves to the sha256 of what was written to each; comparing them is the caller's part.
 * After `onSlices` a slice stays as it is, also when the rest of the range fails.
 * Rejects with the source's error, or NO_SPACE and STORE_IO of the target's.
 */
export interface RangeReader {
  /** Who serves the bytes, for messages. */
  readonly name: string;
  readInto(
    range: LayerRange,
    slices: readonly FileSlice[],
    options?: ReadIntoOptions,
  ): Promise<Digest[]>;
}
