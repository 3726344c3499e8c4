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
  /** How many questions may be under way at once, and how many of them for one party. */
  readonly flights: { readonly inAll: number; readonly each: number };
  /** Milliseconds; default: those of this process. */
  readonly now?: (() => number) | undefined;
}

/** Answers by key; a question that is under way is not asked twice. */
export interface FlightCache<T> {
  /**
   * What is known, or what `ask` finds out. Who stops waiting does not stop the question: its answer is
   * there for the next. Rejects with RATE_LIMITED when too many are under way, in all or for the
   * party that asks: one whose registry is slow leaves room for the others.
   */
  get(
    question: { readonly key: string; readonly party: string },
    ask: () => Promise<T>,
    options?: Abortable,
  ): Promise<T>;
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
  flights,
  now = () => performance.now(),
}: FlightCacheOptions): FlightCache<T> {
  const entries = new Map<string, Entry<T>>();
  /** How many are under way, by party; who has none is not in it. */
  const flying = new Map<string, number>();
  let inAll = 0;

  function begin(party: string, ask: () => Promise<T>): Entry<T> {
    const own = flying.get(party) ?? 0;
    if (inAll >= flights.inAll || own >= flights.each)
      throw new ModelError("RATE_LIMITED", `${own} questions of ${inAll} are under way already`, {
        hint: "try again in a moment",
      });
    inAll += 1;
    flying.set(party, own + 1);
    const answer = ask().finally(() => {
      inAll -= 1;
      const left = (flying.get(party) ?? 1) - 1;
      if (left === 0) flying.delete(party);
      else flying.set(party, left);
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
    get: async ({ key, party }, ask, { signal } = {}) => {
      const known = entries.get(key);
      const entry = known !== undefined && now() < known.until ? known : begin(party, ask);
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
