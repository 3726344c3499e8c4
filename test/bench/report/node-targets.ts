import { medianSeconds, summarizeRuns } from "../measure/statistics.ts";
import type { RowResult } from "../results.ts";
import { formatFact } from "./row-cells.ts";
import { factOf, littleMemory, promise, type Target } from "./target-kinds.ts";

const mebi = 2 ** 20;
/** Begins the ids of facts about each size. */
const idlePrefix = "idle ";
/** What pods may wait beyond the pull. */
const graceSeconds = 2;
/** Beside the model, its documents. */
const oneDownload = 1.01;

/** What the programs of a node promise. */
export const nodeTargets: readonly Target[] = [
  {
    ...promise("node-publish", "publish of a model that is on the node, p50", "at most 20 ms"),
    measure: (row) => {
      const [tag, digest] = [factOf(row, "tag-p50"), factOf(row, "digest-p50")];
      if (tag === undefined || digest === undefined) return undefined;
      const text = `${formatSeconds(tag)} by tag, ${formatSeconds(digest)} by digest`;
      return { text, met: Math.max(tag, digest) <= 0.02 };
    },
  },
  {
    ...promise("node-read", "sequential read of a mounted file", "at least 0.95x"),
    against: "the file in the store",
    measure: (row) => {
      const ratio = factOf(row, "ratio");
      return ratio === undefined ? undefined : { text: `${ratio.toFixed(3)}x`, met: ratio >= 0.95 };
    },
  },
  {
    ...promise(
      "node-cold-100",
      "100 pods at once on a cold model, until all are up",
      `one download, at most ${graceSeconds} s more than it`,
    ),
    against: "one pull by the agent",
    measure: judgeColdPods,
  },
  {
    ...littleMemory("pull"),
    ...promise("agent-memory", "resident memory of the agent, pulling", "at most 400 MiB"),
  },
  {
    ...promise(
      "agent-memory",
      "resident memory of the agent, idle after a pull",
      "at most 120 MiB",
    ),
    id: "agent-memory-idle",
    measure: ({ facts }) => {
      const idle = facts.filter(({ id }) => id.startsWith(idlePrefix));
      if (idle.length === 0) return undefined;
      const text = idle
        .map((fact) => `${fact.id.slice(idlePrefix.length)}: ${formatFact(fact)}`)
        .join(", ");
      return { text, met: idle.every(({ value }) => value <= 120 * mebi) };
    },
  },
];

function judgeColdPods(row: RowResult) {
  const [pull, pods] = row.entries;
  const bytes = factOf(row, "model-bytes");
  const moved = pods && summarizeRuns(pods, (run) => run.movedBytes)?.most;
  if (pull === undefined || pods === undefined || bytes === undefined || moved === undefined)
    return undefined;
  const [alone, all] = [medianSeconds(pull), medianSeconds(pods)];
  const text = `${all.toFixed(2)} s beside ${alone.toFixed(2)} s, ${(moved / bytes).toFixed(2)} downloads`;
  return { text, met: all <= alone + graceSeconds && moved <= oneDownload * bytes };
}

function formatSeconds(value: number): string {
  return formatFact({ value, unit: "seconds" });
}
