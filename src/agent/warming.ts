import { describeFault, type Log } from "../core/log.ts";
import { createMutex } from "../core/mutex.ts";
import { warmTree } from "./warm.ts";

/** Warms trees one after another: two at once would push each other out. */
export interface Warming extends Disposable {
  /** For a lease that is not being warmed already. */
  begin(leaseId: string, tree: string): void;
  /** Idempotent. */
  end(leaseId: string): void;
}

/** Nothing is warmed yet. */
export function createWarming(log: Log): Warming {
  const turns = createMutex();
  const running = new Map<string, AbortController>();

  async function warm(tree: string, signal: AbortSignal): Promise<void> {
    try {
      const warmed = await turns.hold(() => warmTree(tree, { signal }), { signal });
      log("warmed", { tree, ...warmed });
    } catch (error) {
      if (!signal.aborted) log("warming failed", { tree, error: describeFault(error) });
    }
  }

  return {
    begin: (leaseId, tree) => {
      if (running.has(leaseId)) return;
      const controller = new AbortController();
      running.set(leaseId, controller);
      void warm(tree, controller.signal).then(() => {
        if (running.get(leaseId) === controller) running.delete(leaseId);
      });
    },
    end: (leaseId) => {
      running.get(leaseId)?.abort();
      running.delete(leaseId);
    },
    [Symbol.dispose]: () => {
      for (const controller of running.values()) controller.abort();
    },
  };
}
