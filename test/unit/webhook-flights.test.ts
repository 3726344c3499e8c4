import { describe, expect, test } from "vitest";
import { createFlightCache } from "../../src/kubernetes/webhook/resolve/flight-cache.ts";

function open(options: { entries?: number; inAll?: number; each?: number } = {}) {
  const clock = { ms: 0 };
  const { entries = 10, inAll = 10, each = 10 } = options;
  const questions = createFlightCache<string>({
    entries,
    flights: { inAll, each },
    keepMs: 30_000,
    keepFailedMs: 5_000,
    now: () => clock.ms,
  });
  const cache = {
    get: (
      key: string,
      ask: () => Promise<string>,
      options?: { signal: AbortSignal },
      party = "p",
    ) => questions.get({ key, party }, ask, options),
  };
  let asked = 0;
  const answer = (text: string) => async () => {
    asked += 1;
    return text;
  };
  return { cache, clock, answer, asked: () => asked };
}

describe("answers of registries", () => {
  test("are kept for their time, and asked for anew after it", async () => {
    const { cache, clock, answer } = open();
    expect(await cache.get("a", answer("one"))).toBe("one");
    clock.ms = 29_999;
    expect(await cache.get("a", answer("two"))).toBe("one");
    clock.ms = 30_000;
    expect(await cache.get("a", answer("two"))).toBe("two");
  });

  test("that are failures are kept shorter", async () => {
    const { cache, clock, answer } = open();
    const fail = () => Promise.reject(new Error("no"));
    await expect(cache.get("a", fail)).rejects.toThrow("no");
    clock.ms = 4_999;
    await expect(cache.get("a", answer("yes"))).rejects.toThrow("no");
    clock.ms = 5_000;
    expect(await cache.get("a", answer("yes"))).toBe("yes");
  });

  test("are asked for once, however many wait", async () => {
    const { cache, answer, asked } = open();
    const all = Array.from({ length: 100 }, () => cache.get("a", answer("one")));
    expect(new Set(await Promise.all(all))).toEqual(new Set(["one"]));
    expect(asked()).toBe(1);
  });

  test("come also when the first who asked stopped waiting", async () => {
    const { cache, answer, asked } = open();
    const slow = Promise.withResolvers<string>();
    const stop = new AbortController();
    const first = cache.get("a", () => slow.promise, { signal: stop.signal });
    stop.abort(new Error("too long"));
    await expect(first).rejects.toThrow("too long");
    slow.resolve("one");
    expect(await cache.get("a", answer("two"))).toBe("one");
    expect(asked()).toBe(0);
  });

  test("are no more than allowed: those used last stay", async () => {
    const { cache, answer } = open({ entries: 2 });
    await cache.get("a", answer("a"));
    await cache.get("b", answer("b"));
    await cache.get("a", answer("changed"));
    await cache.get("c", answer("c"));
    expect(await cache.get("a", answer("changed"))).toBe("a");
    expect(await cache.get("b", answer("changed"))).toBe("changed");
  });

  test("are not asked for beside too many others", async () => {
    const { cache, answer } = open({ inAll: 1 });
    const slow = Promise.withResolvers<string>();
    const first = cache.get("a", () => slow.promise);
    await expect(cache.get("b", answer("b"))).rejects.toMatchObject({ code: "RATE_LIMITED" });
    slow.resolve("a");
    await first;
    expect(await cache.get("b", answer("b"))).toBe("b");
  });

  test("of one party leave room for those of others", async () => {
    const { cache, answer } = open({ each: 1 });
    const slow = Promise.withResolvers<string>();
    const first = cache.get("a", () => slow.promise, undefined, "slow");
    const second = cache.get("b", answer("b"), undefined, "slow");
    await expect(second).rejects.toMatchObject({ code: "RATE_LIMITED" });
    expect(await cache.get("a2", answer("a2"), undefined, "other")).toBe("a2");
    slow.resolve("a");
    await first;
    expect(await cache.get("c", answer("c"), undefined, "slow")).toBe("c");
  });
});
