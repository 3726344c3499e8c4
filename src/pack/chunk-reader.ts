import { maxChunkBytes } from "../core/chunk-index.ts";
import { ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import { createWorkerPool, threadCount } from "../core/worker-pool.ts";
import { workerUrl } from "../core/worker-url.ts";
import type { SourceFile } from "../source/source.ts";
import { readAhead } from "./read-ahead.ts";
import {
  jobsOfFiles,
  jobsOfSlices,
  type KnownSlice,
  type ReadChunk,
  type ReadingThreads,
  type ReadJob,
} from "./read-jobs.ts";

/**
 * Opens threads that read and hash, by default one for each core; each starts when there is work for
 * it, and keeps the file open that it read last. Several reads may share them.
 */
export function openReadingThreads(threads?: number): ReadingThreads {
  return createWorkerPool(workerUrl("chunk-worker", import.meta.url), threadCount(threads));
}

export interface ReadOptions extends Abortable {
  /** Whoever opened them ends them, after the read. */
  readonly threads: ReadingThreads;
  /** Bytes being read, read ahead, or yielded and not released; at least 32 MiB, default 256 MiB. */
  readonly budgetBytes?: number | undefined;
}

/**
 * Cuts files into chunks and yields them with their bytes and digests: files in the order given,
 * chunks in file order; an empty file has none. The threads read and hash ahead of the consumer.
 *
 * A consumer may hold chunks and ask for more as long as what it holds leaves 36 MiB of the
 * budget; above that the next chunk waits until one is released. `onWarning` hears of each weights
 * file whose header is damaged. Rejects with SOURCE_CHANGED when a file is not what it was when
 * listed, with SOURCE_UNREADABLE, or with the signal's reason. When it ends, or the consumer stops
 * early, nothing is being read any more before `return()` resolves.
 */
export function readChunks(
  files: readonly SourceFile[],
  options: ReadOptions & { readonly onWarning?: ((message: string) => void) | undefined },
): AsyncGenerator<ReadChunk, void, undefined> {
  const { onWarning = () => {} } = options;
  return readJobs(jobsOfFiles(files, options.threads, onWarning), options);
}

/**
 * Reads slices whose digests are known, in the order given, under the same terms as `readChunks`.
 * Rejects with SOURCE_CHANGED when the bytes of one have another digest now.
 */
export function readSlices(
  slices: Iterable<KnownSlice>,
  options: ReadOptions,
): AsyncGenerator<ReadChunk, void, undefined> {
  return readJobs(jobsOfSlices(slices, options.threads), options);
}

async function* readJobs(
  jobs: AsyncIterable<ReadJob> | Iterable<ReadJob>,
  { budgetBytes = 268_435_456, signal }: ReadOptions,
): AsyncGenerator<ReadChunk, void, undefined> {
  if (!Number.isSafeInteger(budgetBytes) || budgetBytes < maxChunkBytes)
    throw new ModelError("INVALID_ARGUMENT", `budgetBytes is below ${maxChunkBytes}, one chunk`);
  yield* readAhead(jobs, { budgetBytes, signal });
}
