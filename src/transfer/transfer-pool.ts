import { checkCount } from "../core/count.ts";
import { ModelError } from "../core/errors.ts";
import { originOf } from "../store/store-paths.ts";
import {
  type BlobSource,
  createBlobRangeReader,
  createSocketRangeReader,
} from "./blob-range-reader.ts";
import { startDiskThreads } from "./disk-threads.ts";
import { forEachInTurn } from "./in-turns.ts";
import { createRamp } from "./ramp.ts";
import type { Transfer, TransferOptions } from "./transfer.ts";
import { createTurnQueue, type Priority } from "./turn-queue.ts";

/** What may change while a pool is in use. */
interface TransferLimits extends Pick<TransferOptions, "connections" | "bufferBytes"> {
  /** Most ranges under way at once from one provider (a host). Default: as many as `connections`. */
  readonly connectionsPerProvider?: number | undefined;
}

export interface TransferPoolOptions extends TransferOptions, TransferLimits {
  /** Threads without work for so many milliseconds end, and start again with the next work. Default 10 s. */
  readonly idleMs?: number | undefined;
}

interface OpenTransferOptions {
  /** What the bytes are wanted for; asked each time it matters. Default `mount`. */
  readonly priority?: (() => Priority) | undefined;
}

/** Threads, connections and memory shared by many transfers. */
export interface TransferPool extends AsyncDisposable {
  /** Opens a transfer; it costs nothing while no range of it is under way. */
  open(source: BlobSource, options?: OpenTransferOptions): Transfer;
  /**
   * Limits that hold from now on; those left out stay. Ranges over them end with the chunk they are
   * in. Throws INVALID_ARGUMENT and changes nothing for one that makes no sense.
   */
  configure(limits: TransferLimits): void;
}

const defaultConnections = 16;
const connectionsPerThread = 2;
/** Threads that wait this share of the time have time for more connections. */
const waitingShare = 0.3;
const defaultBufferBytes = 16_777_216;
/** What one connection may read at once. */
const connectionBytes = { least: 131_072, most: 1_048_576 };

/** Opens a pool; threads start with the first work. Throws INVALID_ARGUMENT for an option that makes no sense. */
export function openTransferPool(options: TransferPoolOptions = {}): TransferPool {
  const { rangeBytes, sockets = true } = options;
  checkCount("rangeBytes", rangeBytes ?? 1);
  let asked: TransferLimits = options;
  let limits = completeLimits(asked);
  const disk = startDiskThreads(options.threads, { idleMs: options.idleMs });
  const ramp = createRamp({
    least: connectionsPerThread * disk.limit,
    hasTime: () => disk.idleShare() > waitingShare && ramp.count < limits.connections,
    onCount: () => queue.configure(turnLimits()),
  });
  const turnLimits = () => ({ ...limits, connections: Math.min(ramp.count, limits.connections) });
  const queue = createTurnQueue(turnLimits());
  const closing = new AbortController();

  function readerOf(source: BlobSource) {
    return sockets
      ? createSocketRangeReader(source, disk, () => limits.bytesPerConnection)
      : createBlobRangeReader(source, disk);
  }

  return {
    open: (source, { priority = (): Priority => "mount" } = {}) => {
      const line = queue.openLine({ provider: originOf(source.name).host, priority });
      const underWay = new Set<Promise<void>>();
      return {
        reader: readerOf(source),
        disk,
        rangeBytes,
        forEachRange: async (ranges, work, { signal } = {}) => {
          using _climbing = ramp.climb();
          const signals = [closing.signal, ...(signal === undefined ? [] : [signal])];
          const done = forEachInTurn(line, ranges, work, { signal: AbortSignal.any(signals) });
          underWay.add(done);
          await done.finally(() => underWay.delete(done));
        },
        [Symbol.asyncDispose]: async () => {
          await Promise.allSettled(underWay);
        },
      };
    },
    configure: (changed) => {
      const next = { ...asked, ...changed };
      limits = completeLimits(next);
      asked = next;
      queue.configure(turnLimits());
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort(new ModelError("CANCELLED", "the transfers were stopped"));
      await disk[Symbol.asyncDispose]();
    },
  };
}

/** Limits with nothing left open; connections are at most what there is memory for. */
function completeLimits(limits: TransferLimits) {
  for (const name of ["connections", "connectionsPerProvider", "bufferBytes"] as const)
    checkCount(name, limits[name] ?? 1);
  const { least, most } = connectionBytes;
  const { bufferBytes = defaultBufferBytes } = limits;
  const affordable = Math.max(1, Math.floor(bufferBytes / least));
  const connections = Math.min(limits.connections ?? defaultConnections, affordable);
  const bytesPerConnection = Math.floor(bufferBytes / connections);
  return {
    connections,
    connectionsPerProvider: limits.connectionsPerProvider ?? connections,
    bytesPerConnection: Math.min(most, Math.max(least, bytesPerConnection)),
  };
}
