import { describe, expect, test } from "vitest";
import {
  describeLocations,
  type LocationFacts,
} from "../../src/kubernetes/cluster/model-locations.ts";
import { labelKey } from "../../src/kubernetes/names.ts";
import type { NodeModel } from "../../src/kubernetes/node-models.ts";
import { leaseOf, lookedAt, nodeOf, reportOf, someDigest } from "../support/cluster-facts.ts";

const label = labelKey(someDigest);
const model = (state: NodeModel["state"], more: Partial<NodeModel> = {}): NodeModel => ({
  digest: someDigest,
  state,
  bytes: 100,
  ...more,
});

function locate(more: Partial<LocationFacts>) {
  return describeLocations({
    reference: "registry.example.com/a:v1",
    digest: someDigest,
    reports: [],
    nodes: { value: [] },
    leases: { value: [] },
    now: lookedAt,
    ...more,
  });
}

describe("where a model is", () => {
  test("is told warm nodes first, then those that get it, then the rest", () => {
    const names = ["partial", "slow", "fast", "dead", "warm", "cold"];
    const found = locate({
      nodes: { value: names.map((name) => nodeOf(name)) },
      leases: { value: names.filter((name) => name !== "dead").map((name) => leaseOf(name)) },
      reports: [
        reportOf("partial", [model("partial")]),
        reportOf("slow", [model("pulling", { bytes: 10, totalBytes: 100 })]),
        reportOf("fast", [model("pulling", { bytes: 90, totalBytes: 100, bytesPerSecond: 7 })]),
        reportOf("dead", [model("ready")], 600),
        reportOf("warm", [model("ready", { pinned: true, mounts: 2 })]),
        reportOf("cold", []),
      ],
    });
    expect(found.nodes.map(({ node }) => node)).toEqual([
      "warm",
      "dead",
      "fast",
      "slow",
      "partial",
    ]);
    expect(found.nodes[0]).toMatchObject({ pinned: true, mounts: 2, ageSeconds: 4 });
    expect(found.nodes[1]).toMatchObject({
      reporterAlive: false,
      nodeReady: true,
      ageSeconds: 600,
    });
    expect(found.counts).toEqual({ warm: 1, pulling: 2, other: 2, without: 1, silent: 0 });
    expect(found.summary).toBe(
      "1 of 6 nodes has all of it, 2 are fetching it, 2 have a part, or cannot be used, 1 has nothing of it",
    );
  });

  test("is nowhere where no node has it, which is no failure and has a next step", () => {
    const found = locate({
      nodes: { value: [nodeOf("a"), nodeOf("b")] },
      reports: [reportOf("a", [])],
    });
    expect(found.nodes).toEqual([]);
    expect(found.summary).toBe("no node has it: 1 of 2 nodes report, and none has a byte of it");
    expect(found.next).toContain(`ballast prefetch REPOSITORY@${someDigest}`);
  });

  test("is not known where no reporter ever spoke", () => {
    const found = locate({ nodes: { value: [nodeOf("a")] } });
    expect(found.summary).toBe("no node reports what it has");
    expect(found.next).toContain("ballast cluster doctor");
  });

  test("names nodes that are labelled for it and do not have it", () => {
    const found = locate({
      nodes: { value: [nodeOf("a", { labels: { [label]: "ready" } }), nodeOf("b")] },
      reports: [reportOf("a", []), reportOf("b", [])],
    });
    expect(found.wrongLabels).toEqual(["a"]);
    expect(found.next).toContain("a: labelled for it without having it");
  });

  test("leaves out nodes that are gone and what may not be read", () => {
    const reports = [reportOf("a", [model("ready")]), reportOf("gone", [model("ready")])];
    const seen = locate({ nodes: { value: [nodeOf("a")] }, reports });
    expect(seen.nodes.map(({ node }) => node)).toEqual(["a"]);
    const blind = locate({ nodes: { refused: "no" }, leases: { refused: "no" }, reports });
    expect(
      blind.nodes.map(({ labelled, nodeReady, reporterAlive }) => [
        labelled,
        nodeReady,
        reporterAlive,
      ]),
    ).toEqual([
      [undefined, undefined, undefined],
      [undefined, undefined, undefined],
    ]);
    expect(blind.counts.warm).toBe(2);
  });
});
