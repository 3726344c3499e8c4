import { describe, expect, test } from "vitest";
import {
  openRegistryPruneScene,
  openRegistryPushScene,
  openRegistryServerScene,
} from "../support/crash-registry-scenes.ts";
import { sweepSteps } from "../support/crash-sweep.ts";
import { toolsMissing } from "../support/programs.ts";

describe.skipIf(toolsMissing("python"))("a push to a registry", () => {
  test("that is killed in any of its requests shows the tag whole or not at all, and the next one completes it", async () => {
    const { failures, missed, ...counts } = await sweepSteps(openRegistryPushScene, {
      stepsPerKill: 1,
    });
    console.log(`push to a registry: ${JSON.stringify(counts)}`);
    expect(failures).toEqual([]);
    expect(missed).toEqual([]);
  });

  test("whose registry is killed before any of its steps is completed by the next one", async () => {
    const { failures, missed, ...counts } = await sweepSteps(openRegistryServerScene, {
      stepsPerKill: 4,
    });
    console.log(`registry serve: ${JSON.stringify(counts)}`);
    expect(failures).toEqual([]);
    expect(missed).toEqual([]);
  });
});

describe.skipIf(toolsMissing("python"))("a prune of a registry", () => {
  test("that is killed before any of its steps leaves every tag whole, and the next one ends it", async () => {
    const { failures, missed, ...counts } = await sweepSteps(openRegistryPruneScene, {
      stepsPerKill: 4,
    });
    console.log(`registry prune: ${JSON.stringify(counts)}`);
    expect(failures).toEqual([]);
    expect(missed).toEqual([]);
  });
});
