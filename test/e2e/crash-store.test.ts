import { describe, expect, test } from "vitest";
import { openRemovalScene } from "../support/crash-removal-scene.ts";
import { sweepSteps } from "../support/crash-sweep.ts";
import { toolsMissing } from "../support/programs.ts";

describe.skipIf(toolsMissing("python"))(
  "a store command that is killed before any of its steps",
  () => {
    test.each(["rm", "gc"] as const)(
      "%s leaves what stays whole, and the rest goes the next time",
      async (command) => {
        const open = () => openRemovalScene(command);
        const { failures, missed, ...counts } = await sweepSteps(open, { stepsPerKill: 4 });
        console.log(`store ${command}: ${JSON.stringify(counts)}`);
        expect(failures).toEqual([]);
        expect(missed).toEqual([]);
      },
    );
  },
);
