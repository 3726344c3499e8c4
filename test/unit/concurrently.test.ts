import { describe, expect, test } from "vitest";
import { forEachConcurrently } from "../../src/core/concurrently.ts";

const tick = () => new Promise<void>((done) => setImmediate(done));

describe("work on many items", () => {
  test("is done once for each, at most so many at a time", async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await forEachConcurrently(
      Array.from({ length: 50 }, (_, at) => at),
      4,
      async (item) => {
        running += 1;
        most = Math.max(most, running);
        await tick();
        running -= 1;
        done.push(item);
      },
    );
    expect(done.toSorted((a, b) => a - b)).toEqual([...done.keys()]);
    expect(most).toBe(4);
  });

  test("takes items of an async iterable only as they are needed", async () => {
    let taken = 0;
    async function* items() {
      for (; taken < 10; ) {
        taken += 1;
        yield taken;
      }
    }
    const ahead: number[] = [];
    let done = 0;
    await forEachConcurrently(items(), 2, async () => {
      ahead.push(taken - done);
      await tick();
      done += 1;
    });
    expect(done).toBe(10);
    expect(Math.max(...ahead)).toBeLessThanOrEqual(2);
  });

  test("stops at the first failure, after what was running has ended", async () => {
    const seen: number[] = [];
    let ended = 0;
    let closed = false;
    function* items() {
      try {
        for (let item = 0; ; item += 1) yield item;
      } finally {
        closed = true;
      }
    }
    const work = forEachConcurrently(items(), 3, async (item) => {
      seen.push(item);
      await tick();
      if (item === 1) throw new Error("the second");
      await tick();
      ended += 1;
    });
    await expect(work).rejects.toThrow("the second");
    expect(ended).toBe(seen.length - 1);
    expect(seen.length).toBeLessThan(10);
    expect(closed).toBe(true);
  });

  test("rejects with the failure of the items themselves", async () => {
    async function* items() {
      yield 1;
      await tick();
      throw new Error("no more");
    }
    await expect(forEachConcurrently(items(), 2, tick)).rejects.toThrow("no more");
  });

  test("a plain iterator without return can fail too", async () => {
    const items = {
      [Symbol.iterator]: () => ({ next: () => ({ done: false as const, value: 1 }) }),
    };
    const work = forEachConcurrently(items, 0, () => Promise.reject(new Error("at once")));
    await expect(work).rejects.toThrow("at once");
  });
});
