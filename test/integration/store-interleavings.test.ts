import { describe, expect, test } from "vitest";
import { fuzzRuns } from "../support/fuzz.ts";
import { killOften, runScenarios } from "../support/interleavings/overlap.ts";

describe("a store on which pulls, mounts, pins, removals and collections overlap", () => {
  test("keeps what is in use, shows only verified bytes and leaves nothing behind, wherever it crashes", async ({
    signal,
  }) => {
    await expect(runScenarios(fuzzRuns(25).numRuns, signal)).resolves.toBeUndefined();
  });

  test("is as good after each of many kills of its process", async ({ signal }) => {
    await expect(killOften(fuzzRuns(4).numRuns, signal)).resolves.toBeUndefined();
  });
});
