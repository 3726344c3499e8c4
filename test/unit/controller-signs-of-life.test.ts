import { expect, test } from "vitest";
import type { Lease } from "../../src/kubernetes/api/objects.ts";
import { createSignsOfLife } from "../../src/kubernetes/controller/signs-of-life.ts";

const lease = (resourceVersion: string, seconds?: number, renewTime = "1999"): Lease => ({
  metadata: { resourceVersion },
  spec: { leaseDurationSeconds: seconds, renewTime },
});

function scene() {
  let time = 1e6;
  const signs = createSignsOfLife(60_000, () => time);
  const pass = (seconds: number) => {
    time += seconds * 1000;
  };
  return { signs, pass };
}

test("a reporter is silent after the time that all are allowed, and the duration of its Lease", () => {
  const { signs, pass } = scene();
  signs.hear("plain", lease("1"));
  signs.hear("longer", lease("1", 20));
  pass(60);
  expect([signs.isSilent("plain"), signs.isSilent("longer")]).toEqual([false, false]);
  pass(1);
  expect([signs.isSilent("plain"), signs.isSilent("longer")]).toEqual([true, false]);
  pass(20);
  expect(signs.isSilent("longer")).toBe(true);
});

test("no Lease can ask to be believed for ever", () => {
  const { signs, pass } = scene();
  signs.hear("greedy", lease("1", 1e9));
  signs.hear("negative", lease("1", -1e9));
  pass(50);
  expect(signs.isSilent("negative")).toBe(false);
  pass(56);
  expect(signs.isSilent("greedy")).toBe(true);
});

test("only a change is a sign, whatever its time says", () => {
  const { signs, pass } = scene();
  signs.hear("a", lease("1", 0, "2199"));
  pass(50);
  signs.hear("a", lease("1", 0, "2200"));
  pass(11);
  expect(signs.isSilent("a")).toBe(true);
  signs.hear("a", lease("2", 0, "1970"));
  expect(signs.isSilent("a")).toBe(false);
});

test("a Lease that goes is a change, and then silence", () => {
  const { signs, pass } = scene();
  signs.hear("a", lease("1"));
  pass(50);
  signs.hear("a", undefined);
  pass(50);
  expect(signs.isSilent("a")).toBe(false);
  pass(11);
  expect(signs.isSilent("a")).toBe(true);
});

test("of one that was never heard of the time begins with the question", () => {
  const { signs, pass } = scene();
  expect(signs.isSilent("a")).toBe(false);
  pass(61);
  expect(signs.isSilent("a")).toBe(true);
  signs.forget("a");
  expect(signs.isSilent("a")).toBe(false);
});

test("nobody is silent for what passed while nothing could be heard", () => {
  const { signs, pass } = scene();
  for (const node of ["a", "b"]) signs.hear(node, lease("1"));
  pass(600);
  signs.restart();
  expect([...signs.nodes].map(signs.isSilent)).toEqual([false, false]);
  pass(61);
  expect([...signs.nodes].map(signs.isSilent)).toEqual([true, true]);
});
