import { describe, expect, test } from "vitest";
import { judge } from "../bench/report/targets.ts";
import type { Fact, RowResult } from "../bench/results.ts";

function row(id: string, facts: Readonly<Record<string, number>>): RowResult {
  const listed = Object.entries(facts).map(
    ([name, value]): Fact => ({ id: name, label: name, value, unit: "count" }),
  );
  return { id, title: id, entries: [], facts: listed, notes: [] };
}

describe("what the parts in a cluster promise", () => {
  test.each([
    ["cluster-webhook", { "digest-p99": 0.019, "tag-p99": 0.02 }, "met"],
    ["cluster-webhook", { "digest-p99": 0.001, "tag-p99": 0.021 }, "missed"],
    ["cluster-webhook", { "digest-p99": 0.001 }, "not measured"],
    ["cluster-writes", { each: 4, idle: 0, nodes: 1000 }, "met"],
    ["cluster-writes", { each: 4.001, idle: 0, nodes: 1000 }, "missed"],
    ["cluster-writes", { each: 2, idle: 1, nodes: 1000 }, "missed"],
    ["cluster-writes", {}, "not measured"],
    ["cluster-reporter", { reporter: 120 * 2 ** 20 }, "met"],
    ["cluster-reporter", { reporter: 120 * 2 ** 20 + 1 }, "missed"],
    ["cluster-reporter", {}, "not measured"],
  ])("%s with %j is %s", (id, facts, verdict) => {
    expect(judge([row(id, facts)]).map((each) => each.verdict)).toEqual([verdict]);
  });
});
