import { formatFact } from "./row-cells.ts";
import { factOf, promise, type Target } from "./target-kinds.ts";

const mebi = 2 ** 20;
const mostWrites = 4;

/** What the parts in a cluster promise. */
export const clusterTargets: readonly Target[] = [
  {
    ...promise("cluster-webhook", "review of a pod by the webhook, p99", "at most 20 ms"),
    measure: (row) => {
      const [digest, tag] = [factOf(row, "digest-p99"), factOf(row, "tag-p99")];
      if (digest === undefined || tag === undefined) return undefined;
      const text = `${seconds(digest)} by digest, ${seconds(tag)} by tag`;
      return { text, met: Math.max(digest, tag) <= 0.02 };
    },
  },
  {
    ...promise(
      "cluster-writes",
      "writes to the API server for each node that gets a model",
      `at most ${mostWrites}, none while nothing changes`,
    ),
    measure: (row) => {
      const [each, idle, nodes] = [factOf(row, "each"), factOf(row, "idle"), factOf(row, "nodes")];
      if (each === undefined || idle === undefined || nodes === undefined) return undefined;
      const text = `${each.toFixed(2)} at ${nodes} nodes, then ${idle}`;
      return { text, met: each <= mostWrites && idle === 0 };
    },
  },
  {
    ...promise("cluster-reporter", "resident memory of the reporter", "at most 120 MiB"),
    measure: (row) => {
      const bytes = factOf(row, "reporter");
      if (bytes === undefined) return undefined;
      return { text: formatFact({ value: bytes, unit: "bytes" }), met: bytes <= 120 * mebi };
    },
  },
];

function seconds(value: number): string {
  return formatFact({ value, unit: "seconds" });
}
