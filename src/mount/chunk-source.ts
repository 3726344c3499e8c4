import type { Abortable } from "../core/progress.ts";

/** A file of a model, as a volume lists it before its bytes are here. */
export interface SourceFile {
  /** Relative, `/`-separated, NFC (core/model-path.ts). */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Bytes of one file of a model. */
export interface SourceRange {
  /** Of a `SourceFile`. */
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

/**
 * What a lazy volume needs of one model: to be shown before its files are here, and bytes when somebody
 * reads them. Declared here, for who serves such a volume; implemented by who can ask the agent for it.
 *
 * A source is of one manifest digest, so that files and bytes never change, and of one lease, which
 * keeps them from eviction. What was not read yet is brought in the background meanwhile.
 */
export interface ChunkSource {
  /**
   * The chosen files of the model, in no order; the same each time. Rejects as an acquire at the agent
   * does, with AGENT_UNAVAILABLE while it is away.
   */
  files(options?: Abortable): Promise<readonly SourceFile[]>;
  /**
   * Reads into `target`, which is the caller's again once this settles, and resolves to how many bytes
   * it holds: fewer than fit only at the end of the file, 0 behind it. Every byte was verified with its
   * chunk. Chunks that are missing are fetched before all that nobody is blocked on: a read is of the
   * transfer priority `read`, above a mount that waits and a prefetch. Any number may be under way at
   * once; they share what they fetch. An abort ends the wait, not the fetch.
   *
   * Rejects with INVALID_ARGUMENT for a path that is no file of the model or an offset below 0, with
   * DIGEST_MISMATCH where a registry serves wrong bytes, with NO_SPACE, and with REGISTRY_UNAVAILABLE or
   * AGENT_UNAVAILABLE, after which the same read may be tried again.
   */
  read(range: SourceRange, target: Uint8Array, options?: Abortable): Promise<number>;
}
