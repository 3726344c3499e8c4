import { expect, test } from "vitest";
import { fuzzRuns } from "../support/fuzz.ts";
import { killOften, runScenarios } from "../support/interleavings/overlap.ts";

test("thousands of interleavings of pulls, mounts, pins, removals, collections and crashes break no promise of a store", async ({
  signal,
}) => {
  await expect(runScenarios(fuzzRuns(150).numRuns, signal)).resolves.toBeUndefined();
});

test("a store outlives its process, killed while it does everything at once", async ({
  signal,
}) => {
  await expect(killOften(fuzzRuns(20).numRuns, signal)).resolves.toBeUndefined();
});
