import type { Abortable } from "../core/progress.ts";
import type { Line, Turn, TurnTaker } from "./turn-queue.ts";

/**
 * Runs `work` on each item when the line has a turn for it. What `work` resolves to is left of its
 * item, and has turns of its own, before the items that follow. The first failure, or an abort, stops
 * the taking of turns; it rejects with that once what was running has ended.
 */
export async function forEachInTurn<Item>(
  line: Line,
  items: readonly Item[],
  work: (item: Item, turn: Turn) => Promise<readonly Item[]>,
  { signal }: Abortable = {},
): Promise<void> {
  signal?.throwIfAborted();
  if (items.length === 0) return;
  const left = items.toReversed();
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let running = 0;
  let failure: { readonly error: unknown } | undefined;

  function fail(error: unknown): void {
    failure ??= { error };
    left.length = 0;
    if (running === 0) resolve();
  }

  /** Never rejects. */
  async function workOn(item: Item, turn: Turn, end: () => void): Promise<void> {
    try {
      const rest = await work(item, turn);
      if (failure === undefined) left.push(...rest.toReversed());
    } catch (error) {
      fail(error);
    }
    running -= 1;
    end();
    if (running === 0 && left.length === 0) resolve();
  }

  const taker: TurnTaker = {
    get waiting() {
      return left.length;
    },
    begin: (turn, end) => {
      const item = left.pop();
      if (item === undefined) throw new Error("a turn for nothing");
      running += 1;
      void workOn(item, turn, end);
    },
  };
  const stop = () => fail(signal?.reason);
  signal?.addEventListener("abort", stop, { once: true });
  line.add(taker);
  try {
    await ended;
  } finally {
    signal?.removeEventListener("abort", stop);
    line.remove(taker);
  }
  if (failure !== undefined) throw failure.error;
}
