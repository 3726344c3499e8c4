import { describe, expect, test } from "vitest";
import { createMutex } from "../../src/core/mutex.ts";

const tick = () => new Promise<void>((done) => setImmediate(done));

describe("a mutex", () => {
  test("lets one in at a time, in the order they asked", async () => {
    const mutex = createMutex();
    const entered: number[] = [];
    let inside = 0;
    const work = async (number: number) => {
      entered.push(number);
      inside += 1;
      expect(inside).toBe(1);
      await tick();
      inside -= 1;
      return number;
    };
    const held = [1, 2, 3, 4].map((number) => mutex.hold(() => work(number)));
    expect(await Promise.all(held)).toEqual([1, 2, 3, 4]);
    expect(entered).toEqual([1, 2, 3, 4]);
  });

  test("goes on after work that fails", async () => {
    const mutex = createMutex();
    const failed = mutex.hold(() => Promise.reject(new Error("no")));
    const next = mutex.hold(() => Promise.resolve("yes"));
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe("yes");
  });

  test("forgets one whose wait is aborted, and lets nobody past the one inside", async () => {
    const mutex = createMutex();
    const { promise: leave, resolve } = Promise.withResolvers<void>();
    const order: string[] = [];
    const first = mutex.hold(async () => {
      await leave;
      order.push("first");
    });
    const stop = new AbortController();
    const second = mutex.hold(async () => void order.push("second"), { signal: stop.signal });
    const third = mutex.hold(async () => void order.push("third"));
    stop.abort(new Error("no longer wanted"));
    await expect(second).rejects.toThrow("no longer wanted");
    await tick();
    expect(order).toEqual([]);
    resolve();
    await Promise.all([first, third]);
    expect(order).toEqual(["first", "third"]);
  });

  test("does not begin the work of one who has stopped already", async () => {
    const stopped = AbortSignal.abort(new Error("stopped"));
    const begin = () => Promise.reject(new Error("begun"));
    await expect(createMutex().hold(begin, { signal: stopped })).rejects.toThrow("stopped");
  });
});
