import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { threadCount } from "../core/worker-pool.ts";
import { startWorkerThread, type WorkerThread } from "../core/worker-thread.ts";
import { workerUrl } from "../core/worker-url.ts";
import type { DiskAnswer, DiskQuestion, FetchNote, SourceSlice } from "./disk-worker.ts";
import type { FileSlice } from "./range-reader.ts";
import { openSliceStream, type SliceStream } from "./slice-stream.ts";

export type DiskThread = WorkerThread<DiskQuestion, DiskAnswer, FetchNote>;

interface RunningThread {
  readonly thread: DiskThread;
  /** Streams that are open on it. */
  readonly streams: Set<number>;
  /** Whether there was work for it since it was last looked at. */
  wasUsed: boolean;
}

/** Threads that write, hash and copy, so that no such work runs on the event loop. */
export interface DiskThreads extends AsyncDisposable {
  /** How many there are at most. */
  readonly limit: number;
  /** How many there are now. */
  readonly running: number;
  /** Starts the first threads now, for work that is about to come: a start takes some 40 ms. */
  start(): void;
  /** The share of the time since the last call in which the busiest thread had nothing to do. */
  idleShare(): number;
  /** Opens a stream of bytes into file slices, on the thread with the least to do. */
  openStream(
    slices: readonly FileSlice[],
    onSlices?: (first: number, digests: readonly Digest[]) => void,
  ): SliceStream;
  /** The digest of each slice as it is on disk. Rejects with STORE_IO. */
  hash(slices: readonly SourceSlice[]): Promise<readonly Digest[]>;
  /** Copies a slice; resolves to the digest of what was written. NO_SPACE, STORE_IO. */
  copy(from: SourceSlice, to: FileSlice): Promise<Digest>;
}

/** More threads than this do not help one network card, and each takes memory. */
const mostThreads = 8;

/** Threads to start before there is work: more are of no use to a small model. */
const firstThreads = 2;

/** A thread without work for so long, in milliseconds, ends: it holds some 15 MB. */
const defaultIdleMs = 10_000;

/**
 * Disk threads, by default one for each core up to 8; each starts when there is work for it, and ends
 * when there was none for `idleMs` to twice that (default 10 s).
 */
export function startDiskThreads(
  threads?: number,
  { idleMs = defaultIdleMs }: { readonly idleMs?: number | undefined } = {},
): DiskThreads {
  const url = workerUrl("disk-worker", import.meta.url);
  const limit = threads === undefined ? Math.min(mostThreads, threadCount()) : threadCount(threads);
  let running: RunningThread[] = [];
  const ending = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const load = ({ thread, streams }: RunningThread) => thread.pending + streams.size;

  function leastBusy(): RunningThread {
    if (isStopped) throw new ModelError("CANCELLED", "the threads were stopped");
    const idlest = running.toSorted((a, b) => load(a) - load(b))[0];
    const isFit = idlest !== undefined && (load(idlest) === 0 || running.length === limit);
    const chosen = isFit ? idlest : startOne();
    chosen.wasUsed = true;
    return chosen;
  }

  function startOne(): RunningThread {
    const thread = startWorkerThread<DiskQuestion, DiskAnswer, FetchNote>(url);
    const started = { thread, streams: new Set<number>(), wasUsed: true };
    running.push(started);
    timer ??= setInterval(endIdle, idleMs).unref();
    return started;
  }

  function endIdle(): void {
    const isIdle = (each: RunningThread) => !each.wasUsed && load(each) === 0;
    for (const each of running.filter(isIdle)) end(each);
    running = running.filter((each) => !isIdle(each));
    for (const each of running) each.wasUsed = load(each) > 0;
    if (running.length > 0) return;
    clearInterval(timer);
    timer = undefined;
    memories.length = 0;
  }

  function end({ thread }: RunningThread): void {
    const stopped = Promise.resolve(thread[Symbol.asyncDispose]());
    const ended = stopped.finally(() => ending.delete(ended));
    ending.add(ended);
  }

  const memories: SharedArrayBuffer[] = [];
  let opened = 0;
  return {
    limit,
    get running() {
      return running.length;
    },
    start: () => {
      while (running.length < Math.min(firstThreads, limit)) startOne();
    },
    idleShare: () => Math.min(1, ...running.map(({ thread }) => thread.idleShare())),
    openStream: (slices, onSlices) => {
      const { thread, streams } = leastBusy();
      const stream = ++opened;
      streams.add(stream);
      const onClosed = () => void streams.delete(stream);
      return openSliceStream({ thread, stream, slices, memories, onSlices, onClosed });
    },
    hash: async (slices) => leastBusy().thread.ask({ type: "hash", slices }),
    copy: async (from, to) => {
      const [digest] = await leastBusy().thread.ask({ type: "copy", from, to });
      if (digest === undefined) throw new Error("a copy ended without a digest");
      return digest;
    },
    [Symbol.asyncDispose]: async () => {
      isStopped = true;
      clearInterval(timer);
      for (const each of running.splice(0)) end(each);
      await Promise.all(ending);
    },
  };
}
