import { ModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import { unlessAborted } from "../../../core/unless-aborted.ts";

export interface FlightCacheOptions {
  /** How many answers are kept: those used last. */
  readonly entries: number;
  /** How long an answer counts. */
  readonly keepMs: number;
  /** How long a failure counts. */
  readonly keepFailedMs: number;
  /** How many questions may be under way at once. */
  readonly flights: number;
  /** Milliseconds; default: those of this process. */
  readonly now?: (() => number) | undefined;
}

/** Answers by key; a question that is under way is not asked twice. */
export interface FlightCache<T> {
  /**
   * What is known, or what `ask` finds out. Who stops waiting does not stop the question: its answer is
   * there for the next. Rejects with RATE_LIMITED when too many are under way.
   */
  get(key: string, ask: () => Promise<T>, options?: Abortable): Promise<T>;
}

interface Entry<T> {
  readonly answer: Promise<T>;
  /** Infinite while it is under way. */
  until: number;
}

/** Creates an empty cache. */
export function createFlightCache<T>({
  entries: limit,
  keepMs,
  keepFailedMs,
  flights: most,
  now = () => performance.now(),
}: FlightCacheOptions): FlightCache<T> {
  const entries = new Map<string, Entry<T>>();
  let flights = 0;

  function begin(key: string, ask: () => Promise<T>): Entry<T> {
    if (flights >= most)
      throw new ModelError("RATE_LIMITED", `${most} questions are under way already`, {
        hint: "try again in a moment",
      });
    flights += 1;
    const answer = ask().finally(() => {
      flights -= 1;
    });
    const entry: Entry<T> = { answer, until: Number.POSITIVE_INFINITY };
    answer.then(
      () => {
        entry.until = now() + keepMs;
      },
      () => {
        entry.until = now() + keepFailedMs;
      },
    );
    return entry;
  }

  return {
    get: async (key, ask, { signal } = {}) => {
      const known = entries.get(key);
      const entry = known !== undefined && now() < known.until ? known : begin(key, ask);
      entries.delete(key);
      entries.set(key, entry);
      for (const oldest of entries.keys()) {
        if (entries.size <= limit) break;
        entries.delete(oldest);
      }
      return unlessAborted(entry.answer, signal);
    },
  };
}
