import { describe, expect, test } from "vitest";
import { createReviewPaths } from "../../src/kubernetes/webhook/server/review-paths.ts";

describe("paths of reviews", () => {
  test("are none before one is admitted", () => {
    expect(createReviewPaths().has("/pods")).toBe(false);
  });

  test("are the last one and the one before, so that nobody is turned away while they change", () => {
    const paths = createReviewPaths();
    for (const path of ["/pods/a", "/pods/b", "/pods/b", "/pods/c"]) paths.admit(path);
    expect(["/pods/a", "/pods/b", "/pods/c", "/pods/"].map((path) => paths.has(path))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});
