import { pause } from "../../core/pause.ts";

/** Work on things by their keys; of one key one piece runs at a time. */
export interface WorkQueue {
  /** Has the key worked on soon, once however often it is added before that. */
  add(key: string): void;
  /** Works until aborted; what runs then is awaited. */
  run(signal: AbortSignal): Promise<void>;
}

export interface WorkQueueOptions {
  readonly work: (key: string) => Promise<void>;
  /** Told of each failure; the work is done again after a pause that grows. */
  readonly onFailure: (key: string, error: unknown) => void;
  /** How many run at once. Default: 4. */
  readonly lanes?: number | undefined;
  /** After the first failure of a key; doubles to five minutes. Default: 1000. */
  readonly firstPauseMs?: number | undefined;
}

const longestPauseMs = 300_000;

/** Creates an empty one. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { work, onFailure, lanes = 4, firstPauseMs = 1000 } = options;
  /** When each is due. */
  const due = new Map<string, number>();
  const failures = new Map<string, number>();
  const running = new Set<string>();
  let change = new AbortController();

  function wake(): void {
    change.abort();
    change = new AbortController();
  }

  /** The key to work on, or for how long there is none. */
  function next(): string | number {
    const now = performance.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const [key, at] of due) {
      if (running.has(key)) continue;
      if (at <= now) return key;
      nearest = Math.min(nearest, at - now);
    }
    return Math.min(nearest, longestPauseMs);
  }

  async function attempt(key: string, signal: AbortSignal): Promise<void> {
    due.delete(key);
    running.add(key);
    try {
      await work(key);
      failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      const pauseMs = Math.min(firstPauseMs * 2 ** (count - 1), longestPauseMs);
      if (!due.has(key)) due.set(key, performance.now() + pauseMs);
      onFailure(key, error);
    } finally {
      running.delete(key);
      wake();
    }
  }

  async function lane(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const found = next();
      if (typeof found === "string") await attempt(found, signal);
      else await pause(found, AbortSignal.any([signal, change.signal]));
    }
  }

  return {
    add: (key) => {
      due.set(key, 0);
      wake();
    },
    run: async (signal) => {
      await Promise.all(Array.from({ length: lanes }, () => lane(signal)));
    },
  };
}
