import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { whenIdle } from "../../src/oci/layout/idle.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("what is in use is kept, and forgotten a minute after its last use, again and again", () => {
  let forgotten = 0;
  const use = whenIdle(() => (forgotten += 1));
  vi.advanceTimersByTime(600_000);
  expect(forgotten).toBe(0);
  for (let round = 1; round <= 2; round += 1) {
    for (let times = 0; times < 5; times += 1) {
      use();
      vi.advanceTimersByTime(59_000);
    }
    expect(forgotten).toBe(round - 1);
    vi.advanceTimersByTime(1000);
    expect(forgotten).toBe(round);
    vi.advanceTimersByTime(600_000);
    expect(forgotten).toBe(round);
  }
});
