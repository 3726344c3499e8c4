import { createMutex, type Mutex } from "./mutex.ts";
import type { Abortable } from "./progress.ts";

/** Lets one piece of work run at a time for each key, in the order they asked. */
export interface KeyedMutex {
  /** Like `Mutex.hold`, among those of the same key. */
  hold<T>(key: string, work: () => Promise<T>, options?: Abortable): Promise<T>;
}

/** Creates one that nobody holds. A key takes memory only while somebody holds or waits. */
export function createKeyedMutex(): KeyedMutex {
  const mutexes = new Map<string, { readonly mutex: Mutex; users: number }>();
  return {
    async hold(key, work, options) {
      const entry = mutexes.get(key) ?? { mutex: createMutex(), users: 0 };
      mutexes.set(key, entry);
      entry.users += 1;
      try {
        return await entry.mutex.hold(work, options);
      } finally {
        entry.users -= 1;
        if (entry.users === 0) mutexes.delete(key);
      }
    },
  };
}
