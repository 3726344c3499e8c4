import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createRamp } from "../../src/transfer/ramp.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a count doubles each time there is time, and is the least again when nobody climbs", () => {
  const counts: number[] = [];
  const ramp = createRamp({
    least: 2,
    hasTime: () => ramp.count < 13,
    onCount: (count) => counts.push(count),
  });
  const first = ramp.climb();
  const second = ramp.climb();
  vi.advanceTimersByTime(1000);
  expect(counts).toEqual([4, 8, 16]);
  first[Symbol.dispose]();
  expect(ramp.count).toBe(16);
  second[Symbol.dispose]();
  expect(ramp.count).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("without time for more it stays at the least", () => {
  const ramp = createRamp({
    least: 2,
    hasTime: () => false,
    onCount: () => expect.unreachable(),
  });
  using _climbing = ramp.climb();
  vi.advanceTimersByTime(1000);
  expect(ramp.count).toBe(2);
});
