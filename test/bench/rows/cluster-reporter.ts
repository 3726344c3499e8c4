import { setTimeout as delay } from "node:timers/promises";
import type { Row } from "../bench.ts";
import { readResidentMemory } from "../measure/resident-memory.ts";
import type { ClusterPlace } from "./cluster-place.ts";

const settleMs = 60_000;

/** What telling the cluster costs a node. */
export const clusterReporter: Row<ClusterPlace> = {
  id: "cluster-reporter",
  title: "resident memory of the reporter of a node",
  measure: async ({ node, cluster }, bench) => {
    await delay(bench.settings.smoke ? 1000 : settleMs, undefined, { signal: bench.signal });
    const roles = {
      reporter: node.reporter,
      controller: cluster.controller,
      webhook: cluster.webhook,
    };
    const facts = await Promise.all(
      Object.entries(roles).map(async ([id, { pid }]) => {
        const { bytes: value } = await readResidentMemory(pid);
        return { id, label: `${id}, idle`, value, unit: "bytes" } as const;
      }),
    );
    return { entries: [], facts };
  },
};
