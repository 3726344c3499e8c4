import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createRest } from "../../src/agent/rest.ts";

describe("an agent without work", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("gives memory back once, a while after the last delivery", () => {
    const collect = vi.fn();
    using rest = createRest({ isIdle: () => true, collect });
    rest.disturb();
    vi.advanceTimersByTime(14_000);
    rest.disturb();
    vi.advanceTimersByTime(14_000);
    expect(collect).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(collect).toHaveBeenCalledOnce();
  });

  test("keeps it while another delivery is under way, and after it ends", () => {
    const collect = vi.fn();
    const rest = createRest({ isIdle: () => false, collect });
    rest.disturb();
    vi.advanceTimersByTime(60_000);
    rest.disturb();
    rest[Symbol.dispose]();
    vi.advanceTimersByTime(60_000);
    expect(collect).not.toHaveBeenCalled();
  });

  test("has a collector of its own where none is given", () => {
    using rest = createRest({ isIdle: () => true });
    rest.disturb();
    const before = process.memoryUsage().heapUsed;
    vi.advanceTimersByTime(15_000);
    expect(process.memoryUsage().heapUsed).toBeLessThan(before);
  });
});
