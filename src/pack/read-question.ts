import type { Digest } from "../core/digest.ts";
import type { SourceFile } from "../source/source.ts";
import type { ChunkPlan } from "./chunk-bounds.ts";
import type { Page } from "./chunk-memory.ts";

/** A slice of a file of the source. */
export interface FileSpan {
  readonly file: SourceFile;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly size: number;
}

/** What a reading thread is asked; `into` is shared memory that the thread fills. */
export type ReadQuestion =
  /** How the file is cut. */
  | { readonly kind: "plan"; readonly file: SourceFile }
  /** Slices, end to end. */
  | { readonly kind: "spans"; readonly spans: readonly FileSpan[]; readonly into: readonly Page[] }
  /**
   * The content-defined chunk at the start of the span, which reaches as far as the chunk may; its
   * size is told as soon as its end is found.
   */
  | { readonly kind: "content"; readonly span: FileSpan; readonly into: readonly Page[] }
  /** The digest of what is in memory. */
  | { readonly kind: "hash"; readonly bytes: readonly Page[] };

export type ReadAnswer =
  | { readonly kind: "plan"; readonly plan: ChunkPlan }
  /** One for each chunk read, or of what was hashed. */
  | { readonly kind: "digests"; readonly digests: readonly Digest[] };

/** The size of a content-defined chunk, told before its digest. */
export interface FoundEnd {
  readonly size: number;
}
