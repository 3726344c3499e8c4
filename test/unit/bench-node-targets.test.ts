import { describe, expect, test } from "vitest";
import { nodeTargets } from "../bench/report/node-targets.ts";
import { judge } from "../bench/report/targets.ts";
import type { Fact } from "../bench/results.ts";
import { rows } from "../bench/rows/catalog.ts";
import { makeEntry, makeRow } from "../support/bench-rows.ts";

const mebi = 2 ** 20;

function fact(id: string, value: number, unit: Fact["unit"]): Fact {
  return { id, label: id, value, unit };
}

function verdicts(id: string, more: Parameters<typeof makeRow>[0]) {
  return judge([makeRow({ id, ...more })]).map(({ measured, verdict }) => [measured, verdict]);
}

test("each target of a node is measured by a row that there is", () => {
  const ids = rows.map(({ id }) => id);
  for (const { row } of nodeTargets) expect(ids).toContain(row);
});

test.each([
  [0.02, 0.019, "20.0 ms by tag, 19.0 ms by digest", "met"],
  [0.021, 0.005, "21.0 ms by tag, 5.0 ms by digest", "missed"],
  [0.005, 0.021, "5.0 ms by tag, 21.0 ms by digest", "missed"],
])("publishes of %d s by tag and %d s by digest are %s: %s", (tag, digest, measured, verdict) => {
  const facts = [fact("tag-p50", tag, "seconds"), fact("digest-p50", digest, "seconds")];
  expect(verdicts("node-publish", { facts })).toEqual([[measured, verdict]]);
});

test.each([
  [0.95, "met"],
  [0.949, "missed"],
])("a read at %d of the speed of the file is %s", (ratio, verdict) => {
  const facts = [fact("ratio", ratio, "ratio")];
  expect(verdicts("node-read", { facts })).toEqual([[`${ratio.toFixed(3)}x`, verdict]]);
});

describe("a hundred pods on a cold model", () => {
  const judged = (seconds: number, movedBytes: number) =>
    verdicts("node-cold-100", {
      entries: [
        makeEntry("one pull by the agent", "ours", [3, 2.9, 9]),
        makeEntry("100 pods", "ours", [seconds], { movedBytes }),
      ],
      facts: [fact("model-bytes", 100 * mebi, "bytes")],
    });

  test("may take two seconds more than the pull", () => {
    expect(judged(5, 100 * mebi)).toEqual([["5.00 s beside 3.00 s, 1.00 downloads", "met"]]);
    expect(judged(5.01, 100 * mebi)[0]?.[1]).toBe("missed");
  });

  test("may download the model once", () => {
    expect(judged(3, 200 * mebi)).toEqual([["3.00 s beside 3.00 s, 2.00 downloads", "missed"]]);
  });
});

describe("the agent's memory", () => {
  test("is judged at every size, pulling and idle", () => {
    const entries = [300, 401].map((peak) =>
      makeEntry(`${peak} GiB`, "ours", [1], { peakBytes: peak * mebi }),
    );
    const facts = [119, 121].map((size) => fact(`idle ${size} GiB`, size * mebi, "bytes"));
    expect(verdicts("agent-memory", { entries, facts })).toEqual([
      ["300 GiB: 300 MiB, 401 GiB: 401 MiB", "missed"],
      ["119 GiB: 119.0 MiB, 121 GiB: 121.0 MiB", "missed"],
    ]);
    expect(verdicts("agent-memory", { entries, facts: facts.slice(0, 1) })[1]?.[1]).toBe("met");
  });
});

test.each(nodeTargets.map(({ id, row }) => [id, row]))(
  "%s is not measured where the row was left out",
  (_, row) => {
    for (const [measured, verdict] of verdicts(row, { skipped: "needs root" }))
      expect([measured, verdict]).toEqual(["-", "not measured"]);
  },
);
