import { expect, test } from "vitest";
import { describeProgress } from "../../csi/volume/progress-text.ts";

const gibi = 1024 ** 3;
const progress = {
  name: "m",
  state: "pulling",
  totalBytes: 140 * gibi,
  hereBytes: 61 * gibi,
  bytesPerSecond: 1.9 * gibi,
  secondsLeft: 42,
} as const;

test.each([
  [{}, "pulling m: 43 % (61 of 140 GiB), 1.9 GiB/s, about 42 s left"],
  [{ state: "waiting" as const }, "m waits for its turn: 43 % (61 of 140 GiB)"],
  [{ state: "finishing" as const, hereBytes: 140 * gibi }, "finishing m: 100 % (140 of 140 GiB)"],
  [{ bytesPerSecond: 0, secondsLeft: null }, "pulling m: 43 % (61 of 140 GiB)"],
  [{ secondsLeft: 0 }, "pulling m: 43 % (61 of 140 GiB), 1.9 GiB/s, about 1 s left"],
  [{ secondsLeft: 600 }, "pulling m: 43 % (61 of 140 GiB), 1.9 GiB/s, about 10 min left"],
  [{ secondsLeft: 9000 }, "pulling m: 43 % (61 of 140 GiB), 1.9 GiB/s, about 3 h left"],
  [
    { totalBytes: 1500, hereBytes: 1499, bytesPerSecond: 10 },
    "pulling m: 99 % (1.5 of 1.5 KiB), 10 B/s, about 42 s left",
  ],
  [{ totalBytes: 0, hereBytes: 0 }, "pulling m"],
  [{ totalBytes: 10, hereBytes: 20 }, "pulling m: 100 % (20 of 10 B), 1.9 GiB/s, about 42 s left"],
])("progress with %j reads %j", (changes, text) => {
  expect(describeProgress("m", { ...progress, ...changes })).toBe(text);
});

test("before anything is known it says so", () => {
  expect(describeProgress("m", undefined)).toBe("asking for m");
});
