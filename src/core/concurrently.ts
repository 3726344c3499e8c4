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
  const iterator = toAsyncIterator(items);
  let failure: { error: unknown } | undefined;
  async function lane(): Promise<void> {
    while (failure === undefined) {
      const next = await iterator.next();
      if (next.done === true) return;
      await work(next.value);
    }
  }
  const guarded = () => lane().catch((error: unknown) => void (failure ??= { error }));
  await Promise.all(Array.from({ length: Math.max(1, limit) }, guarded));
  if (failure === undefined) return;
  await iterator.return?.();
  throw failure.error;
}

function toAsyncIterator<T>(items: Iterable<T> | AsyncIterable<T>): AsyncIterator<T> {
  if (Symbol.asyncIterator in items) return items[Symbol.asyncIterator]();
  const iterator = items[Symbol.iterator]();
  return {
    next: () => Promise.resolve(iterator.next()),
    return: () => Promise.resolve(iterator.return?.() ?? { done: true, value: undefined }),
  };
}
