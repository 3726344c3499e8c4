import { expect, test } from "vitest";
import { createMeter } from "../../src/agent/deliveries/meter.ts";

function createClock() {
  let ms = 5_000;
  return { now: () => ms, pass: (more: number) => void (ms += more) };
}

test("a meter tells bytes per second over the last ten seconds", () => {
  const clock = createClock();
  const meter = createMeter(clock.now);
  expect(meter.bytesPerSecond()).toBe(0);
  for (let second = 0; second < 20; second += 1) {
    clock.pass(1000);
    meter.add(second < 10 ? 1_000_000 : 3_000_000);
  }
  expect(meter.bytesPerSecond()).toBeCloseTo(3_000_000, -5);
});

test("a meter of a young transfer counts from its beginning", () => {
  const clock = createClock();
  const meter = createMeter(clock.now);
  clock.pass(1000);
  meter.add(500_000);
  clock.pass(1000);
  expect(meter.bytesPerSecond()).toBe(250_000);
});

test("a meter goes to zero when nothing comes any more, and never below", () => {
  const clock = createClock();
  const meter = createMeter(clock.now);
  meter.add(1_000_000);
  meter.add(-3_000_000);
  clock.pass(100);
  expect(meter.bytesPerSecond()).toBe(0);
  meter.add(5_000_000);
  clock.pass(60_000);
  expect(meter.bytesPerSecond()).toBe(0);
});
