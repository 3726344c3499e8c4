import { describe, expect, test } from "vitest";
import type { Finding } from "../../src/registry/check/probe.ts";
import { probeGroups } from "../../src/registry/check/probes/all-probes.ts";
import type { Behaviour } from "../../src/registry/check/run-check.ts";
import { judge } from "../../src/registry/check/verdicts.ts";

const probes = probeGroups.flatMap(({ subject, probes: all }) =>
  all.map(({ id, title, needed }) => ({ subject, id, title, needed })),
);

function judged(changes: Readonly<Record<string, Finding>>, topic: string): string {
  const behaviours = probes.map(
    (probe): Behaviour => ({ ...probe, ...(changes[probe.id] ?? { result: "yes" }) }),
  );
  const verdict = judge(behaviours).find((each) => each.topic === topic);
  return `${verdict?.answer}: ${verdict?.words}`;
}

describe("what behaviours mean", () => {
  test("is that everything works where all of them are there", () => {
    const all = probes.map((probe): Behaviour => ({ ...probe, result: "yes" }));
    expect(judge(all).filter(({ answer }) => answer !== "works")).toEqual([]);
  });

  test("is known for each that a push or a pull needs", () => {
    for (const { id, needed } of probes.filter((each) => /^(?:push|pull)$/.test(each.needed)))
      expect([id, judged({ [id]: { result: "no", said: "500" } }, needed)]).toEqual([
        id,
        expect.stringMatching(/^fails: .*500\)$/),
      ]);
  });

  test.each([
    ["a part that is enough", { "blob-head": { result: "partly" } }, "what is there", /^works/],
    ["a lie about ranges", { range: { result: "wrong" } }, "pull of parts", /^fails: it says yes/],
    ["no ranges", { range: { result: "no" } }, "pull of parts", /^slow/],
    ["a lie about what is extra", { chunks: { result: "wrong" } }, "other clients", /^limited/],
    ["nothing tried", { mount: { result: "skipped", said: "why" } }, "mounts", /^unknown.*why/],
  ] as const)("of %s", (_, changes, topic, words) => {
    expect(judged(changes, topic)).toMatch(words);
  });

  test("is unknown where behaviours were not asked for at all", () => {
    expect(judge([]).map(({ answer }) => answer)).toEqual(judge([]).map(() => "unknown"));
  });

  test("and every probe has an id of its own", () => {
    expect(new Set(probes.map(({ id }) => id)).size).toBe(probes.length);
  });
});
