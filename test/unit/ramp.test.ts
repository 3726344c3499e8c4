import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { forEachRamping } from "../../src/transfer/ramp.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Work of which each item ends when it is told to. */
function startWork(hasTime: () => boolean, { count = 100, most = 16 } = {}) {
  const running = new Map<number, PromiseWithResolvers<void>>();
  const ended = forEachRamping(Array(count).keys(), { least: 2, most, hasTime }, async (item) => {
    const end = Promise.withResolvers<void>();
    running.set(item, end);
    await end.promise.finally(() => running.delete(item));
  });
  ended.catch(() => undefined);
  const endAll = async () => {
    while (running.size > 0) {
      for (const { resolve } of running.values()) resolve();
      await vi.advanceTimersByTimeAsync(0);
    }
    await ended;
  };
  return { running, ended, endAll };
}

test("as many again are begun each time there is time, up to the most", async () => {
  const work = startWork(() => true, { most: 13 });
  const counts: number[] = [];
  for (let times = 0; times < 5; times += 1) {
    await vi.advanceTimersByTimeAsync(times === 0 ? 0 : 25);
    counts.push(work.running.size);
  }
  expect(counts).toEqual([2, 4, 8, 13, 13]);
  await work.endAll();
});

test("without time for more it stays with the first", async () => {
  const work = startWork(() => false);
  await vi.advanceTimersByTimeAsync(1000);
  expect([...work.running.keys()]).toEqual([0, 1]);
  await work.endAll();
});

test("a failure of one that was begun later ends all, and its timer", async () => {
  const work = startWork(() => true);
  await vi.advanceTimersByTimeAsync(25);
  work.running.get(3)?.reject(new Error("the fourth"));
  await vi.advanceTimersByTimeAsync(1000);
  expect(work.running.size).toBeLessThan(16);
  const begun = [...work.running.keys()];
  for (const { resolve } of work.running.values()) resolve();
  await expect(work.ended).rejects.toThrow("the fourth");
  expect([begun.includes(3), work.running.size, vi.getTimerCount()]).toEqual([false, 0, 0]);
});
