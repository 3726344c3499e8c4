import { checkCount } from "../core/count.ts";
import {
  type BlobSource,
  createBlobRangeReader,
  createSocketRangeReader,
} from "./blob-range-reader.ts";
import { type DiskThreads, startDiskThreads } from "./disk-threads.ts";
import { forEachRamping, type RampOptions } from "./ramp.ts";
import type { RangeReader } from "./range-reader.ts";

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
  /** Memory for bytes between network and disk, all connections together. Default 16 MiB. */
  readonly bufferBytes?: number | undefined;
  /** False has HTTP read on the main thread only, as it is through a proxy. Default true. */
  readonly sockets?: boolean | undefined;
}

const defaultConnections = 16;
const connectionsPerThread = 2;
/** Threads that wait this share of the time have time for more connections. */
const waitingShare = 0.3;
const defaultBufferBytes = 16_777_216;
/** What one connection may read at once. */
const bufferLimits = { least: 131_072, most: 1_048_576 };

/** What reads ranges into files, as the options say. */
export interface Transfer extends AsyncDisposable {
  readonly reader: RangeReader;
  readonly disk: DiskThreads;
  readonly rangeBytes: number | undefined;
  /** Works on ranges, several at once. Rejects like `forEachConcurrently`. */
  forEachRange<Range>(
    ranges: Iterable<Range>,
    work: (range: Range) => Promise<void>,
  ): Promise<void>;
}

/** Starts the threads of a transfer. Throws INVALID_ARGUMENT for an option that makes no sense. */
export function openTransfer(source: BlobSource, options: TransferOptions = {}): Transfer {
  for (const name of ["connections", "rangeBytes", "bufferBytes"] as const)
    checkCount(name, options[name] ?? 1);
  const { connections = defaultConnections, threads, rangeBytes, sockets = true } = options;
  const disk = startDiskThreads(threads);
  const share = Math.floor((options.bufferBytes ?? defaultBufferBytes) / connections);
  const bufferBytes = Math.min(bufferLimits.most, Math.max(bufferLimits.least, share));
  const reader = sockets
    ? createSocketRangeReader(source, disk, bufferBytes)
    : createBlobRangeReader(source, disk);
  const dispose = () => disk[Symbol.asyncDispose]();
  const ramp: RampOptions = {
    least: connectionsPerThread * disk.limit,
    most: connections,
    hasTime: () => disk.idleShare() > waitingShare,
  };
  return {
    reader,
    disk,
    rangeBytes,
    forEachRange: (ranges, work) => forEachRamping(ranges, ramp, work),
    [Symbol.asyncDispose]: dispose,
  };
}
