import type { Abortable } from "../core/progress.ts";
import type { BlobSource } from "./blob-range-reader.ts";
import type { DiskThreads } from "./disk-threads.ts";
import type { RangeReader } from "./range-reader.ts";
import { openTransferPool } from "./transfer-pool.ts";
import type { Turn } from "./turn-queue.ts";

/** How bytes are brought here. The defaults were measured (docs/performance.md). */
export interface TransferOptions {
  /**
   * Most ranges under way at once, each over a connection of its own. Default 16. Two for each thread
   * are begun, and more while the threads wait for bytes: connections that are not needed cost, since
   * their buffers push each other out of the processor's cache.
   */
  readonly connections?: number | undefined;
  /** Threads that receive, hash and write. Default: one per core, up to 8. */
  readonly threads?: number | undefined;
  /**
   * Most bytes to ask for at once. Default 64 MiB, and more for a model that would take over 384
   * requests: registries count them.
   */
  readonly rangeBytes?: number | undefined;
  /**
   * Memory for bytes between network and disk, all connections together. Default 16 MiB. Where it is
   * less than 128 KiB for each there are fewer connections.
   */
  readonly bufferBytes?: number | undefined;
  /** False has HTTP read on the main thread only, as it is through a proxy. Default true. */
  readonly sockets?: boolean | undefined;
}

/** What reads ranges into files, as the options say. Disposing of it waits for its ranges. */
export interface Transfer extends AsyncDisposable {
  readonly reader: RangeReader;
  readonly disk: DiskThreads;
  readonly rangeBytes: number | undefined;
  /**
   * Works on ranges, several at once. `work` resolves to what it left of a range because its turn was
   * over; that is worked on later. Rejects like `forEachConcurrently`, also on an abort.
   */
  forEachRange<Range>(
    ranges: readonly Range[],
    work: (range: Range, turn: Turn) => Promise<readonly Range[]>,
    options?: Abortable,
  ): Promise<void>;
}

/** A transfer with a pool of its own. Throws INVALID_ARGUMENT for an option that makes no sense. */
export function openTransfer(source: BlobSource, options: TransferOptions = {}): Transfer {
  const pool = openTransferPool(options);
  return { ...pool.open(source), [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() };
}
