import type { Digest } from "../core/digest.ts";
import type { Abortable } from "../core/progress.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { nameOf } from "../model/stored-models.ts";
import type { StoredRecord } from "../store/model-record.ts";

/** Models that are about to go, and those who have to know before: who tells schedulers what is here. */
export interface Departures {
  /** Whether a model, by name, is about to go. */
  isLeaving(name: string): boolean;
  /** Whether anybody has to know. */
  readonly isFollowed: boolean;
  /** Somebody follows until this is disposed. */
  follow(): Disposable;
  /** Resolves when models are announced next. */
  announced(): Promise<void>;
  /** A follower says that nobody hears of these from it any more. */
  withdraw(digests: readonly Digest[]): void;
  /**
   * Announces these models, waits until a follower has withdrawn each, or for five seconds, and then
   * does `work`, which may leave some of them here. Without followers it is done at once.
   */
  leave<T>(
    models: readonly StoredRecord[],
    work: () => Promise<T>,
    options?: Abortable,
  ): Promise<T>;
}

interface Departure {
  readonly name: string;
  readonly digest: Digest;
  readonly withdrawn: PromiseWithResolvers<void>;
}

const patienceMs = 5_000;

/** Nobody follows yet. */
export function createDepartures(): Departures {
  const departures = new Set<Departure>();
  let followers = 0;
  let next = Promise.withResolvers<void>();
  return {
    isLeaving: (name) => [...departures].some((each) => each.name === name),
    get isFollowed() {
      return followers > 0;
    },
    follow: () => {
      followers++;
      return {
        [Symbol.dispose]: () => {
          followers--;
          if (followers === 0) for (const each of departures) each.withdrawn.resolve();
        },
      };
    },
    announced: () => next.promise,
    withdraw: (digests) => {
      for (const each of departures) if (digests.includes(each.digest)) each.withdrawn.resolve();
    },
    leave: async (models, work, { signal } = {}) => {
      if (followers === 0 || models.length === 0) return work();
      const announced = models.map((model) => ({
        name: nameOf(model),
        digest: model.manifest,
        withdrawn: Promise.withResolvers<void>(),
      }));
      for (const each of announced) departures.add(each);
      next.resolve();
      next = Promise.withResolvers();
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, patienceMs);
      try {
        const all = Promise.all(announced.map(({ withdrawn }) => withdrawn.promise));
        await unlessAborted(Promise.race([all, late]), signal);
        return await work();
      } finally {
        clearTimeout(timer);
        for (const each of announced) departures.delete(each);
      }
    },
  };
}
