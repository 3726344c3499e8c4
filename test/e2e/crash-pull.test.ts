import { describe, expect, test } from "vitest";
import { openPullScene, type PullSceneOptions } from "../support/crash-pull-scene.ts";
import { sweepSteps } from "../support/crash-sweep.ts";
import { toolsMissing } from "../support/programs.ts";

const pulls: [string, PullSceneOptions][] = [
  ["into a store", { from: "a registry", into: "store", over: "nothing" }],
  [
    "into a store that has the version before",
    { from: "a layout", into: "store", over: "the version before" },
  ],
  [
    "into a folder that has the version before",
    { from: "a layout", into: "output", over: "the version before" },
  ],
  [
    "into a folder, once all bytes are there",
    { from: "a layout", into: "output", over: "nothing", stepsFrom: "placing" },
  ],
];

describe.skipIf(toolsMissing("python"))("a pull that is killed before any of its steps", () => {
  test.each(pulls)(
    "%s shows nothing unverified, and the next one completes it",
    async (name, options) => {
      const { failures, missed, ...counts } = await sweepSteps(() => openPullScene(options), {
        stepsPerKill: 4,
      });
      console.log(`pull ${name}: ${JSON.stringify(counts)}`);
      expect(failures).toEqual([]);
      expect(missed).toEqual([]);
    },
  );
});
