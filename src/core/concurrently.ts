/**
 * Runs `work` on each item, at most `limit` at once, taking items as they are needed. The first
 * failure stops the taking; it rejects with that failure once what was running has ended, so
 * nothing goes on behind the caller's back.
 */
export async function forEachConcurrently<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const lanes = openLanes(items, work);
  lanes.add(Math.max(1, limit));
  await lanes.ended();
}

/** Items being worked on, each lane one at a time. */
interface Lanes {
  /** Works on `count` more items at once. */
  add(count: number): void;
  /** Resolves when no item is left, with all lanes; rejects like `forEachConcurrently`. */
  ended(): Promise<void>;
}

/** Like `forEachConcurrently`, of which the limit may grow while it runs. */
export function openLanes<T>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<void>,
): Lanes {
  const iterator = toAsyncIterator(items);
  const running: Promise<void>[] = [];
  let failure: { error: unknown } | undefined;
  async function lane(): Promise<void> {
    while (failure === undefined) {
      const next = await iterator.next();
      if (next.done === true) return;
      await work(next.value);
    }
  }
  const guarded = () => lane().catch((error: unknown) => void (failure ??= { error }));
  return {
    add: (count) => running.push(...Array.from({ length: count }, guarded)),
    ended: async () => {
      // Those added meanwhile are at the end.
      for (const each of running) await each;
      if (failure === undefined) return;
      await iterator.return?.();
      throw failure.error;
    },
  };
}

function toAsyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncIterator<T> {
  if (Symbol.asyncIterator in items) return items[Symbol.asyncIterator]();
  const iterator = items[Symbol.iterator]();
  return {
    next: () => Promise.resolve(iterator.next()),
    return: () => Promise.resolve(iterator.return?.() ?? { done: true, value: undefined }),
  };
}
