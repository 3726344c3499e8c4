import type { Digest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
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

/** A thread that hashes layers while others read. */
export interface HashThread extends AsyncDisposable {
  /** Starts a hash; several may run, each has its turns. */
  createLayerHasher(): LayerHasher;
}

type Thread = WorkerThread<HashQuestion, Digest | undefined>;

/**
 * Creates a hashing thread, which starts when it is needed. One is enough: the chunks of a model come
 * in order, so one layer is open at a time. Disposing stops it; open hashers reject with CANCELLED.
 */
export function createHashThread(): HashThread {
  let thread: Thread | undefined;
  let hashersMade = 0;
  return {
    createLayerHasher() {
      thread ??= startWorkerThread(workerUrl("hash-worker", import.meta.url));
      hashersMade += 1;
      return openHasher(thread, hashersMade);
    },
    async [Symbol.asyncDispose]() {
      await thread?.[Symbol.asyncDispose]();
    },
  };
}

function openHasher(thread: Thread, hasher: number): LayerHasher {
  let open = true;
  function end(kind: "digest" | "forget"): Promise<Digest | undefined> {
    open = false;
    return thread.ask({ kind, hasher });
  }
  return {
    async update(bytes) {
      if (!open) throw new ModelError("INVALID_ARGUMENT", "this hasher has ended");
      await thread.ask({ kind: "update", hasher, bytes });
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
