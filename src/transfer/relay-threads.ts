import type { ContentDigest } from "../core/digest.ts";
import type { Abortable } from "../core/progress.ts";
import { threadCount } from "../core/worker-pool.ts";
import { startWorkerThread, type WorkerThread } from "../core/worker-thread.ts";
import { workerUrl } from "../core/worker-url.ts";
import type { BlobDestination, BlobLocation } from "../oci/repository.ts";
import type { RelayAnswer, RelayQuestion } from "./relay-worker.ts";

/** A blob, where it lies, and where one PUT brings it. */
interface Relay {
  readonly digest: ContentDigest;
  readonly size: number;
  readonly from: BlobLocation;
  readonly to: BlobDestination;
}

interface RelayOptions extends Abortable {
  /** Called with counts of bytes as they are sent. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Threads that bring blobs from one server to another over sockets of their own. */
export interface RelayThreads extends AsyncDisposable {
  /**
   * Resolves to the status that the target answered to all of the blob, after its digest was right;
   * undefined where anything was not plain. Rejects with the signal's reason.
   */
  relay(relay: Relay, options?: RelayOptions): Promise<number | undefined>;
}

type Thread = WorkerThread<RelayQuestion, RelayAnswer, number>;

/** More threads than this do not help one network card. */
const mostThreads = 8;

/** Relay threads, one for each core up to 8; each starts when there is work for it. */
export function createRelayThreads(): RelayThreads {
  const limit = Math.min(mostThreads, threadCount());
  const threads: Thread[] = [];
  let relays = 0;

  function leastBusy(): Thread {
    const idlest = threads.toSorted((a, b) => a.pending - b.pending)[0];
    if (idlest !== undefined && (idlest.pending === 0 || threads.length === limit)) return idlest;
    const started: Thread = startWorkerThread(workerUrl("relay-worker", import.meta.url));
    threads.push(started);
    return started;
  }

  return {
    async relay({ digest, size, from, to }, { signal, onBytes } = {}) {
      signal?.throwIfAborted();
      const thread = leastBusy();
      const relay = ++relays;
      const stop = () => void thread.ask({ type: "stop", relay }).catch(() => undefined);
      signal?.addEventListener("abort", stop, { once: true });
      try {
        const order = {
          digest,
          size,
          from: { ...from, url: from.url.href },
          to: { ...to, url: to.url.href },
        };
        const status = await thread.ask({ type: "relay", relay, order }, { onNote: onBytes });
        signal?.throwIfAborted();
        return status;
      } finally {
        signal?.removeEventListener("abort", stop);
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map((thread) => thread[Symbol.asyncDispose]()));
    },
  };
}
