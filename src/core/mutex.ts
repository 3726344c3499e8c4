import type { Abortable } from "./progress.ts";
import { unlessAborted } from "./unless-aborted.ts";

/** Lets one piece of work run at a time, in the order they asked. */
export interface Mutex {
  /**
   * Settles like `work`, which begins when all that asked before have ended. An abort ends the wait
   * only: work that has begun is not stopped. Not reentrant: work that asks again waits for itself.
   */
  hold<T>(work: () => Promise<T>, options?: Abortable): Promise<T>;
}

/** Creates a mutex that nobody holds. */
export function createMutex(): Mutex {
  let last: Promise<void> = Promise.resolve();
  return {
    async hold(work, { signal } = {}) {
      const turn = last;
      const { promise: done, resolve } = Promise.withResolvers<void>();
      last = turn.then(() => done);
      try {
        await unlessAborted(turn, signal);
        signal?.throwIfAborted();
        return await work();
      } finally {
        resolve();
      }
    },
  };
}
