import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBarDisplay, createLineDisplay } from "../../src/cli/progress/progress-display.ts";
import { describeTally, drawBars, percentDone } from "../../src/cli/progress/progress-lines.ts";
import { createRateMeter } from "../../src/cli/progress/rate.ts";
import { createTally } from "../../src/cli/progress/tally.ts";
import { textWidth } from "../../src/cli/text.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { createFakeStream, renderScreen } from "../support/fake-terminal.ts";

const MiB = 1024 ** 2;

function createClock() {
  let time = 1_000_000;
  return { now: () => time, pass: (ms: number) => void (time += ms) };
}

const start = (totalBytes: number, files = 2): ProgressEvent => ({
  type: "start",
  activity: "pull",
  totalBytes,
  files,
});

const bytes = (
  path: string,
  count: number,
  how: "moved" | "reused" | "checked" = "moved",
  fileSize = 100 * MiB,
): ProgressEvent => ({ type: "bytes", path, fileSize, bytes: count, how });

describe("the rate", () => {
  test("is unknown at first, and then bytes per second of the last five", () => {
    const clock = createClock();
    const meter = createRateMeter(clock.now);
    meter.add(10 * MiB);
    expect(meter.perSecond()).toBe(0);
    clock.pass(1000);
    expect(meter.perSecond()).toBe(10 * MiB);
    for (let second = 0; second < 10; second++) {
      meter.add(20 * MiB);
      clock.pass(1000);
    }
    expect(meter.perSecond()).toBeCloseTo(20 * MiB, -6);
  });

  test("falls to nothing when nothing moves any more", () => {
    const clock = createClock();
    const meter = createRateMeter(clock.now);
    meter.add(10 * MiB);
    clock.pass(6000);
    expect(meter.perSecond()).toBe(0);
  });
});

describe("the tally", () => {
  test("knows nothing before the work starts", () => {
    const tally = createTally(createClock().now);
    tally.count(bytes("a", 5));
    expect(tally.current()).toBeUndefined();
  });

  test("adds up, forgets finished files and names the busiest first", () => {
    const clock = createClock();
    const tally = createTally(clock.now);
    tally.count(start(300 * MiB, 3));
    tally.count(bytes("done", 60 * MiB, "reused"));
    tally.count(bytes("done", 40 * MiB));
    tally.count(bytes("older", 1 * MiB));
    clock.pass(500);
    tally.count(bytes("newer", 1 * MiB));
    clock.pass(500);
    const current = tally.current();
    expect(current).toMatchObject({ worked: 42 * MiB, reused: 60 * MiB, filesDone: 1, files: 3 });
    expect(current?.busiest(4).map(({ path }) => path)).toEqual(["newer", "older"]);
    expect(current?.secondsLeft).toBeCloseTo(198 / 42, 5);
  });

  test("does not guess the time left while nothing moves", () => {
    const tally = createTally(createClock().now);
    tally.count(start(10));
    expect(tally.current()?.secondsLeft).toBeUndefined();
  });
});

test.each([
  [0, 100, 0],
  [999, 1000, 99],
  [1000, 1000, 100],
  [2000, 1000, 100],
  [0, 0, 100],
  [-5, 100, 0],
])("%d of %d bytes are %d percent", (done, total, percent) => {
  expect(percentDone(done, total)).toBe(percent);
});

describe("bars", () => {
  const eventOf = fc.record({
    type: fc.constant("bytes" as const),
    path: fc.constantFrom(
      "model-00001-of-00004.safetensors",
      "模型/权重.safetensors",
      "é",
      "a".repeat(300),
    ),
    fileSize: fc.integer({ min: 0, max: 1000 }),
    bytes: fc.integer({ min: 0, max: 2000 }),
    how: fc.constantFrom("moved" as const, "reused" as const, "checked" as const),
  });

  test("never are wider than the terminal and never show nonsense, whatever comes", () => {
    fc.assert(
      fc.property(
        fc.array(eventOf, { maxLength: 30 }),
        fc.integer({ min: 11, max: 300 }),
        fc.integer({ min: 0, max: 3000 }),
        (events, columns, total) => {
          const clock = createClock();
          const tally = createTally(clock.now);
          tally.count(start(total, 5));
          for (const event of events) {
            tally.count(event);
            clock.pass(130);
          }
          const current = tally.current();
          if (current === undefined) throw new Error("no tally");
          const lines = [...drawBars(current, columns), describeTally(current)];
          for (const line of lines.slice(0, -1)) expect(textWidth(line)).toBeLessThan(columns);
          for (const line of lines) expect(line).not.toMatch(/(?:^| )-\d|NaN|Infinity|undefined/);
        },
      ),
    );
  });

  test("show percent, amounts, rate, time left and what was here already", () => {
    const clock = createClock();
    const tally = createTally(clock.now);
    tally.count(start(200 * MiB));
    tally.count(bytes("b/second.safetensors", 50 * MiB, "reused"));
    tally.count(bytes("first.safetensors", 25 * MiB));
    clock.pass(1000);
    const current = tally.current();
    const [whole = "", ...files] = current === undefined ? [] : drawBars(current, 120);
    expect(whole).toMatch(/^pull {2}37% \[=+#+\.+\] 75\.0 MiB of 200\.0 MiB, /);
    expect(whole).toContain("25.0 MiB/s, 5.0 s left, 50.0 MiB already here");
    expect(files).toHaveLength(2);
    expect(files[0]).toMatch(/^ {2}b\/second\.safetensors +50% \[=+\.+\]$/);
    expect(files[1]).toMatch(/^ {2}first\.safetensors +25% \[#+\.+\]$/);
  });

  test("are drawn for four files at most", () => {
    const tally = createTally(createClock().now);
    tally.count(start(900 * MiB, 9));
    for (let file = 0; file < 9; file++) tally.count(bytes(`f${file}`, 1));
    const current = tally.current();
    expect(current && drawBars(current, 80)).toHaveLength(5);
  });
});

describe("on a terminal", () => {
  test("the screen holds the bars once, with notes above, and is clean at the end", () => {
    const clock = createClock();
    const { stream, text } = createFakeStream(80);
    const display = createBarDisplay({ stream, now: clock.now });
    display.show(start(200 * MiB));
    for (let step = 1; step <= 20; step++) {
      clock.pass(150);
      display.show(bytes("a.safetensors", 2 * MiB));
      if (step === 10) display.write(["a note"]);
    }
    const screen = renderScreen(text(), 80);
    expect(screen[0]).toBe("a note");
    expect(screen.filter((line) => line.startsWith("pull"))).toHaveLength(1);
    expect(screen.filter((line) => line.includes("a.safetensors"))).toHaveLength(1);
    display.end();
    display.show(bytes("a.safetensors", 2 * MiB));
    expect(renderScreen(text(), 80)).toEqual(["a note", ""]);
  });

  test("redraws at most ten times a second, in one write each", () => {
    const clock = createClock();
    const { stream, writes } = createFakeStream(80);
    const display = createBarDisplay({ stream, now: clock.now });
    display.show(start(200 * MiB));
    const before = writes.length;
    for (let event = 0; event < 1000; event++) {
      clock.pass(1);
      display.show(bytes("a", 1000));
    }
    expect(writes.length - before).toBeLessThanOrEqual(10);
    expect(writes.length - before).toBeGreaterThan(5);
  });

  test("a terminal that gets narrower leaves no torn bars behind", () => {
    const clock = createClock();
    const { stream, text } = createFakeStream(100);
    const display = createBarDisplay({ stream, now: clock.now });
    display.show(start(200 * MiB));
    clock.pass(500);
    display.show(bytes("a.safetensors", 2 * MiB));
    const rewrapped = renderScreen(text(), 100).flatMap((line) => line.match(/.{1,40}/g) ?? [""]);
    const wide = text().length;
    stream.columns = 40;
    clock.pass(500);
    display.show(bytes("a.safetensors", 2 * MiB));
    const after = renderScreen(rewrapped.join("\n") + text().slice(wide), 40);
    expect(after.filter((line) => line.startsWith("pull"))).toHaveLength(1);
    expect(after.every((line) => line.length < 40)).toBe(true);
  });
});

describe("in a log", () => {
  test("a line stands every five seconds and at the end, without escapes", () => {
    const clock = createClock();
    const { stream, writes, text } = createFakeStream();
    const display = createLineDisplay({ stream, now: clock.now });
    display.show(start(100 * MiB, 1));
    for (let second = 1; second <= 20; second++) {
      clock.pass(1000);
      display.show(bytes("a", 5 * MiB));
    }
    expect(writes).toHaveLength(4);
    display.end();
    display.end();
    expect(writes.at(-1)).toBe("pull 100%, 100.0 MiB of 100.0 MiB, 1 of 1 file\n");
    expect(text()).toMatch(/^[\x20-\x7e\n]*$/);
  });

  test("nothing is written for work that never started", () => {
    const { stream, text } = createFakeStream();
    const display = createLineDisplay({ stream, now: createClock().now });
    display.end();
    expect(text()).toBe("");
  });
});
