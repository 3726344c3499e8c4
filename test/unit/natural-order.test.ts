import { expect, test } from "vitest";
import { compareNaturally } from "../../src/core/natural-order.ts";

test("v2 comes before v10, and names that only look alike have one order", () => {
  const tags = ["v10", "v2", "v02", "latest", "v2-rc1"];
  const sorted = tags.toSorted(compareNaturally);
  expect(sorted).toEqual(["latest", "v02", "v2", "v2-rc1", "v10"]);
  expect(tags.toReversed().toSorted(compareNaturally)).toEqual(sorted);
  expect(compareNaturally("v2", "v2")).toBe(0);
});
