import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Clock, createPacer, type WaitReason } from "../../src/registry/client/http/pacer.ts";

/** Time that passes only while somebody sleeps. */
function createTestClock(): Clock {
  let nowMs = 5000;
  return {
    now: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      nowMs += ms;
      await Promise.resolve();
    },
  };
}

describe("a pacer", () => {
  test("lets no more pass in any minute than the rate, and no fewer than it may", async () => {
    const rates = fc.integer({ min: 1, max: 20 });
    const gaps = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(rates, gaps, async (writes, pauses) => {
        const clock = createTestClock();
        const pacer = createPacer({ rates: { writes }, clock });
        const sent: number[] = [];
        for (const ms of pauses) {
          await clock.sleep(ms, undefined);
          const before = clock.now();
          await pacer.turn("write");
          const at = sent.length - writes;
          expect(clock.now()).toBe(Math.max(before, at < 0 ? 0 : (sent[at] ?? 0) + 60_000));
          sent.push(clock.now());
        }
      }),
    );
  });

  test("counts reads and writes apart, and what is free not at all", async () => {
    const clock = createTestClock();
    const pacer = createPacer({ rates: { reads: 2, writes: 1 }, clock });
    const begunMs = clock.now();
    for (const kind of ["read", "write", "read", "free", "free", "free"] as const)
      await pacer.turn(kind);
    expect(clock.now()).toBe(begunMs);
    await pacer.turn("write");
    expect(clock.now()).toBe(begunMs + 60_000);
  });

  test("without a rate lets everything pass", async () => {
    const clock = createTestClock();
    const pacer = createPacer({ clock });
    const begunMs = clock.now();
    for (let at = 0; at < 10_000; at += 1) await pacer.turn("read");
    expect(clock.now()).toBe(begunMs);
  });

  test("holds everybody after a refusal, as long as it asks for, and says why", async () => {
    const clock = createTestClock();
    const pacer = createPacer({ rates: { writes: 100 }, clock });
    const reasons: [WaitReason, number][] = [];
    const onWait = (reason: WaitReason, ms: number) => void reasons.push([reason, ms]);
    pacer.refused(7000);
    pacer.refused(3000);
    const begunMs = clock.now();
    for (const kind of ["free", "read", "write"] as const) await pacer.turn(kind, { onWait });
    expect(clock.now()).toBe(begunMs + 7000);
    expect(reasons).toEqual([["refused", 7000]]);
  });

  test("waits longer for each refusal that does not say how long, until one is answered", async () => {
    const clock = createTestClock();
    const pacer = createPacer({ leastHoldMs: 100, mostHoldMs: 1000, clock });
    const waited: number[] = [];
    for (const isAnswered of [false, false, false, false, false, true, false]) {
      if (isAnswered) pacer.accepted();
      for (let at = 0; at < 16; at += 1) pacer.refused(undefined);
      const begunMs = clock.now();
      await pacer.turn("read");
      waited.push(clock.now() - begunMs);
    }
    expect(waited).toEqual([100, 200, 400, 800, 1000, 100, 200]);
  });

  test("waits no longer than it may for a Retry-After of an hour", async () => {
    const clock = createTestClock();
    const pacer = createPacer({ mostHoldMs: 1000, clock });
    pacer.refused(3_600_000);
    const begunMs = clock.now();
    await pacer.turn("read");
    expect(clock.now()).toBe(begunMs + 1000);
  });

  test("ends a wait when it is aborted, and counts nothing", async () => {
    const pacer = createPacer({ rates: { reads: 1 } });
    await pacer.turn("read");
    const stop = new AbortController();
    const waiting = pacer.turn("read", { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});
