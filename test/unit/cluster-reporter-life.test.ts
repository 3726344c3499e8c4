import { describe, expect, test } from "vitest";
import type { Lease } from "../../src/kubernetes/api/objects.ts";
import { liveReporters } from "../../src/kubernetes/cluster/facts/reporter-life.ts";
import { reporterLeaseName } from "../../src/kubernetes/names.ts";

const now = Date.parse("2026-06-01T12:00:00Z");
const at = (seconds: number) => new Date(now + 1000 * seconds).toISOString();

/** A Lease of 60 seconds, as its holder and the API server speak of the last time. */
function leaseOf(node: string, saidSeconds: number, ...writtenSeconds: number[]): Lease {
  const managedFields = writtenSeconds.map((seconds) => ({ time: at(seconds) }));
  return {
    metadata: { name: reporterLeaseName(node), managedFields },
    spec: { renewTime: at(saidSeconds), leaseDurationSeconds: 60 },
  };
}

describe("the reporters that are alive", () => {
  test.each([
    ["is there, though its node's clock is hours behind", -9999, [-900, -5], true],
    ["is gone, though its node's clock is years ahead", 99_999_999, [-9000, -600], false],
    ["was heard of just now", -5, [-900, -5], true],
    ["has been silent for minutes", -300, [-900, -300], false],
    ["was heard of by a server that does not say when", -5, [], true],
    ["was silent by a server that does not say when", -300, [], false],
  ] as const)("one that %s", (_, said, written, isAlive) => {
    const alive = liveReporters([leaseOf("a", said, ...written)], now);
    expect(alive.has("a")).toBe(isAlive);
  });

  test("are told by their own Leases only", () => {
    const other = { ...leaseOf("a", -5, -5), metadata: { name: "ballast-controller" } };
    expect(liveReporters([other], now).size).toBe(0);
  });
});
