import type { Digest } from "../core/digest.ts";
import type { HashThread, LayerHasher } from "./hash-thread.ts";
import { hashPages, type KnownSlice, type ReadChunk, type ReadingThreads } from "./read-jobs.ts";

/** A layer whose chunks are all known. */
export interface FreshLayer {
  /** Bytes. */
  readonly size: number;
  readonly digest: Promise<Digest>;
  /** What it is made of, end to end. */
  readonly slices: readonly KnownSlice[];
  /** The bytes of each slice until `release`, if the layer was told to hold them. */
  readonly held: readonly (readonly Uint8Array[])[] | undefined;
  /** Gives the memory back. Idempotent. */
  release(): void;
}

/** A layer that chunks are still added to. */
export interface OpenLayer {
  readonly size: number;
  /** Takes the chunk over: it is released with the layer, or at once when bytes are not held. */
  add(chunk: ReadChunk): Promise<void>;
  close(): FreshLayer;
}

export interface OpenLayerOptions {
  /** Keep the bytes for the upload; else the layer is hashed chunk by chunk and read again. */
  readonly holdBytes: boolean;
  /** Hash the layers of which bytes are held. */
  readonly threads: ReadingThreads;
  /** Hashes the others. */
  readonly hashThread: HashThread;
}

/** Begins an empty layer. */
export function openLayer(options: OpenLayerOptions): OpenLayer {
  return options.holdBytes ? openHeldLayer(options.threads) : openHashedLayer(options.hashThread);
}

function openHeldLayer(threads: ReadingThreads): OpenLayer {
  const chunks: ReadChunk[] = [];
  let size = 0;
  return {
    get size() {
      return size;
    },
    add: async (chunk) => {
      chunks.push(chunk);
      size += chunk.size;
    },
    close: () => ({
      size,
      digest: hashHeld(chunks, threads),
      slices: chunks.map(sliceOf),
      held: chunks.map((chunk) => chunk.bytes),
      release: () => {
        for (const chunk of chunks) chunk.release();
      },
    }),
  };
}

/** A layer of one chunk has that chunk's digest: nothing is hashed twice. */
async function hashHeld(chunks: readonly ReadChunk[], threads: ReadingThreads): Promise<Digest> {
  const [first] = chunks;
  if (first !== undefined && chunks.length === 1) return first.digest;
  return hashPages(
    threads,
    chunks.flatMap((chunk) => chunk.bytes),
  );
}

function openHashedLayer(hashThread: HashThread): OpenLayer {
  const slices: KnownSlice[] = [];
  const hasher: LayerHasher = hashThread.createLayerHasher();
  let size = 0;
  return {
    get size() {
      return size;
    },
    add: async (chunk) => {
      slices.push(sliceOf(chunk));
      size += chunk.size;
      await hasher.update(chunk.bytes);
      chunk.release();
    },
    close: () => ({
      size,
      digest: hasher.digest(),
      slices,
      held: undefined,
      release: () => undefined,
    }),
  };
}

/** What to remember of a chunk once its bytes are gone. */
export function sliceOf({ file, offset, size, digest }: KnownSlice): KnownSlice {
  return { file, offset, size, digest };
}
