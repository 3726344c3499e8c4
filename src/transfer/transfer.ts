import { checkCount } from "../core/count.ts";
import {
  type BlobSource,
  createBlobRangeReader,
  createSocketRangeReader,
} from "./blob-range-reader.ts";
import { type DiskThreads, startDiskThreads } from "./disk-threads.ts";
import type { RangeReader } from "./range-reader.ts";

/** How bytes are brought here. The defaults were measured (docs/performance.md). */
export interface TransferOptions {
  /** Ranges under way at once, each over a connection of its own. Default 16. */
  readonly connections?: number | undefined;
  /** Threads that receive, hash and write. Default: one per core, up to 8. */
  readonly threads?: number | undefined;
  /**
   * Most bytes to ask for at once. Default 32 MiB, and more for a model that would take over 384
   * requests: registries count them.
   */
  readonly rangeBytes?: number | undefined;
  /** Memory for bytes between network and disk, all connections together. Default 8 MiB. */
  readonly bufferBytes?: number | undefined;
  /** False has HTTP read on the main thread only, as it is through a proxy. Default true. */
  readonly sockets?: boolean | undefined;
}

const defaultConnections = 16;
const defaultBufferBytes = 8_388_608;
/** What one connection may read at once. */
const bufferLimits = { least: 131_072, most: 1_048_576 };

/** What reads ranges into files, as the options say. */
export interface Transfer extends AsyncDisposable {
  readonly reader: RangeReader;
  readonly disk: DiskThreads;
  readonly connections: number;
  readonly rangeBytes: number | undefined;
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
  return { reader, disk, connections, rangeBytes, [Symbol.asyncDispose]: dispose };
}
