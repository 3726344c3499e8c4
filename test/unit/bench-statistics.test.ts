import { describe, expect, test } from "vitest";
import { rotate } from "../bench/measure/rounds.ts";
import {
  bestPeer,
  medianSeconds,
  oursIn,
  percentile,
  summarize,
  timesBestPeer,
} from "../bench/measure/statistics.ts";
import { makeEntry, makeRow } from "../support/bench-rows.ts";

test.each([
  [[3], 3, 3, 3],
  [[5, 1, 3], 3, 1, 5],
  [[4, 1, 2, 10], 3, 1, 10],
])("the middle of %j is %d, between %d and %d", (values, median, least, most) => {
  expect(summarize(values)).toEqual({ median, least, most });
});

test.each([
  [0.5, 2],
  [0.75, 3],
  [0.99, 4],
  [0, 1],
])("at p%d of 1 to 4 is %d", (share, expected) => {
  expect(percentile([4, 1, 3, 2], share)).toBe(expected);
});

test("there is no middle of nothing", () => {
  expect(() => summarize([])).toThrow("nothing was measured");
  expect(() => percentile([], 0.5)).toThrow("nothing was measured");
});

describe("the best peer", () => {
  const ours = makeEntry("ballast", "ours", [2, 2, 8]);
  const row = makeRow({
    entries: [
      makeEntry("slow", "peer", [9, 9, 1]),
      makeEntry("fast", "peer", [6, 5, 7]),
      makeEntry("no hashing", "limit", [1, 1, 1]),
      makeEntry("never ran", "peer", []),
      ours,
    ],
  });

  test("has the shortest median time, and is no limit", () => {
    expect(bestPeer(row)?.client).toBe("fast");
    expect(medianSeconds(ours)).toBe(2);
    expect(timesBestPeer(row, ours)).toBe(3);
  });

  test("is nobody where only limits ran", () => {
    const alone = makeRow({ entries: [ours, makeEntry("limit", "limit", [1])] });
    expect(bestPeer(alone)).toBeUndefined();
    expect(timesBestPeer(alone, ours)).toBeUndefined();
    expect(oursIn(alone)).toBe(ours);
  });
});

test("in each round another client comes first", () => {
  const orders = [0, 1, 2, 3].map((round) => rotate(["a", "b", "c"], round).join(""));
  expect(orders).toEqual(["abc", "bca", "cab", "abc"]);
});
