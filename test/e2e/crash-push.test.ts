import { describe, expect, test } from "vitest";
import { openLayoutPushScene } from "../support/crash-push-scenes.ts";
import { sweepSteps } from "../support/crash-sweep.ts";
import { toolsMissing } from "../support/programs.ts";

describe.skipIf(toolsMissing("python"))("a push that is killed before any of its steps", () => {
  test.each(["nothing", "the version before"] as const)(
    "into a layout folder with %s in it shows the tag whole or not at all, and the next one completes it",
    async (over) => {
      const open = () => openLayoutPushScene(over);
      const { failures, missed, ...counts } = await sweepSteps(open, { stepsPerKill: 4 });
      console.log(`push into a layout with ${over}: ${JSON.stringify(counts)}`);
      expect(failures).toEqual([]);
      expect(missed).toEqual([]);
    },
  );
});
