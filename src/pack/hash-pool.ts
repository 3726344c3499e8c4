import type { Digest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import { threadCount } from "../core/worker-pool.ts";
import { startWorkerThread, type WorkerThread } from "../core/worker-thread.ts";
import { workerUrl } from "../core/worker-url.ts";
import type { Page } from "./chunk-memory.ts";

/** What a hashing thread is asked; `hasher` numbers the running hash. */
export type HashQuestion =
  | { readonly kind: "update"; readonly hasher: number; readonly bytes: readonly Page[] }
  | { readonly kind: "digest" | "forget"; readonly hasher: number };

/** A running sha256 on another thread. Disposing one without a digest forgets it. */
export interface LayerHasher extends AsyncDisposable {
  /** Adds `bytes`, which must stay as they are until it resolves. Calls may overlap. */
  update(bytes: readonly Page[]): Promise<void>;
  /** The digest of all bytes of the updates called before; ends the hasher. */
  digest(): Promise<Digest>;
}

/** Threads that hash layers; several hashers may share one. */
export interface HashPool extends AsyncDisposable {
  /** Starts a hash on the thread that has the fewest. */
  createLayerHasher(): LayerHasher;
}

type HashThread = WorkerThread<HashQuestion, Digest | undefined>;

interface Lane {
  readonly thread: HashThread;
  hashers: number;
}

/**
 * Creates a pool of up to `threads` (default: one per core) hashing threads; each starts when it
 * is needed. Disposing stops them; open hashers reject with CANCELLED.
 */
export function createHashPool(options: { readonly threads?: number | undefined } = {}): HashPool {
  const threads = threadCount(options.threads);
  const url = workerUrl("hash-worker", import.meta.url);
  const lanes: Lane[] = [];
  let hashersMade = 0;

  function pickLane(): Lane {
    const quietest = lanes.toSorted((a, b) => a.hashers - b.hashers)[0];
    if (quietest !== undefined && (quietest.hashers === 0 || lanes.length === threads))
      return quietest;
    const lane: Lane = { thread: startWorkerThread(url), hashers: 0 };
    lanes.push(lane);
    return lane;
  }

  return {
    createLayerHasher() {
      const lane = pickLane();
      lane.hashers += 1;
      hashersMade += 1;
      return openHasher(lane, hashersMade);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(lanes.map(({ thread }) => thread[Symbol.asyncDispose]()));
    },
  };
}

function openHasher(lane: Lane, hasher: number): LayerHasher {
  let open = true;
  function end(kind: "digest" | "forget"): Promise<Digest | undefined> {
    open = false;
    lane.hashers -= 1;
    return lane.thread.ask({ kind, hasher });
  }
  return {
    async update(bytes) {
      if (!open) throw new ModelError("INVALID_ARGUMENT", "this hasher has ended");
      await lane.thread.ask({ kind: "update", hasher, bytes });
    },
    async digest() {
      const digest = open ? await end("digest") : undefined;
      if (digest === undefined) throw new ModelError("INVALID_ARGUMENT", "this hasher has ended");
      return digest;
    },
    async [Symbol.asyncDispose]() {
      if (!open) return;
      await end("forget").catch((error: unknown) => {
        if (!isModelError(error, "CANCELLED")) throw error;
      });
    },
  };
}
