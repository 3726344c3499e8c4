import pLimit from "p-limit";
import { maxChunkBytes } from "../core/chunk-index.ts";
import { checkCount } from "../core/count.ts";
import type { Digest } from "../core/digest.ts";
import type { RunOptions } from "../core/progress.ts";
import type { BlobBody, Repository } from "../oci/repository.ts";
import { readSlices } from "../pack/chunk-reader.ts";
import type { FreshLayer } from "../pack/open-layer.ts";
import type { ReadingThreads } from "../pack/read-jobs.ts";
import type { SourceFile } from "../source/source.ts";

/** Memory for reading one layer again while it is uploaded (32 MiB): one chunk at a time. */
const rereadBytes = maxChunkBytes;

export interface UploadOptions extends RunOptions {
  readonly repository: Repository;
  readonly dryRun: boolean;
  /** For layers that are not held in memory. */
  readonly threads: ReadingThreads;
  /** Layers uploaded at once. */
  readonly connections: number;
}

/** Layers on their way to a repository, a few at once. */
export interface LayerUploads {
  /** Bytes sent (with `dryRun`: that would be), and the layers they were in. */
  readonly moved: { readonly bytes: number; readonly layers: number };
  /** Aborted when an upload fails, so that reading stops too. */
  readonly failed: AbortSignal;
  add(layer: FreshLayer): void;
  /** Resolves when all are there. Rejects with the first failure, once none is under way. */
  finish(): Promise<void>;
}

/** Starts with none under way. */
export function createLayerUploads(options: UploadOptions): LayerUploads {
  const failure = new AbortController();
  const signals = [failure.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const signal = AbortSignal.any(signals);
  const limit = pLimit(checkCount("connections", options.connections));
  const pending: Promise<void>[] = [];
  const moved = { bytes: 0, layers: 0 };

  async function upload(layer: FreshLayer): Promise<void> {
    try {
      if (!(await sendIfMissing(layer, { ...options, signal }))) return;
      moved.bytes += layer.size;
      moved.layers += 1;
    } catch (error) {
      failure.abort(error);
      throw error;
    } finally {
      layer.release();
    }
  }

  return {
    moved,
    failed: failure.signal,
    add: (layer) => {
      const done = limit(() => upload(layer));
      // Its failure is told by finish.
      done.catch(() => undefined);
      pending.push(done);
    },
    finish: async () => {
      await Promise.allSettled(pending);
      if (failure.signal.aborted) throw failure.signal.reason;
    },
  };
}

/** False when the layer was there already; true when it was sent, or with `dryRun` would be. */
async function sendIfMissing(layer: FreshLayer, options: UploadOptions): Promise<boolean> {
  const { repository, dryRun, signal } = options;
  signal?.throwIfAborted();
  const digest = await layer.digest;
  if (await isThere(repository, digest, layer.size, signal)) {
    reportSlices(layer, options, "reused");
    return false;
  }
  if (dryRun) reportSlices(layer, options, "moved");
  else await putLayer(layer, digest, options);
  return true;
}

/** Whether a repository has a blob of this size. */
export async function isThere(
  repository: Repository,
  digest: Digest,
  size: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return (await repository.statBlob(digest, { signal })) === size;
}

async function putLayer(
  layer: FreshLayer,
  digest: Digest,
  { repository, threads, onProgress, signal }: UploadOptions,
): Promise<void> {
  let counted: { path: string; fileSize: number; bytes: number }[] = [];
  const takeBack = () => {
    for (const { bytes, ...file } of counted)
      onProgress?.({ type: "bytes", ...file, bytes: -bytes, how: "moved" });
    counted = [];
  };
  const body: BlobBody = async function* () {
    takeBack();
    for await (const { file, piece } of readLayer(layer, { threads, signal })) {
      yield piece;
      const { path, size: fileSize } = file;
      counted.push({ path, fileSize, bytes: piece.byteLength });
      onProgress?.({ type: "bytes", path, fileSize, bytes: piece.byteLength, how: "moved" });
    }
  };
  try {
    await repository.putBlob({ digest, size: layer.size }, body, { signal });
  } catch (error) {
    takeBack();
    throw error;
  }
}

/** The bytes of a layer in pieces: from memory where they are held, else read and checked again. */
async function* readLayer(
  layer: FreshLayer,
  options: Pick<UploadOptions, "threads" | "signal">,
): AsyncGenerator<{ readonly file: SourceFile; readonly piece: Uint8Array }> {
  if (layer.held !== undefined) {
    for (const [at, pieces] of layer.held.entries()) {
      const file = layer.slices[at]?.file;
      if (file !== undefined) for (const piece of pieces) yield { file, piece };
    }
    return;
  }
  for await (const chunk of readSlices(layer.slices, { ...options, budgetBytes: rereadBytes })) {
    for (const piece of chunk.bytes) yield { file: chunk.file, piece };
    chunk.release();
  }
}

function reportSlices(
  layer: FreshLayer,
  { onProgress }: RunOptions,
  how: "moved" | "reused",
): void {
  for (const { file, size: bytes } of layer.slices)
    onProgress?.({ type: "bytes", path: file.path, fileSize: file.size, bytes, how });
}
