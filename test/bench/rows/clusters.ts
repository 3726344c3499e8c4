import type { Bench, Row, Stage } from "../bench.ts";
import { defineStage } from "../bench.ts";
import { clusterInstall } from "./cluster-install.ts";
import { type ClusterPlace, prepareCluster, whyNoCluster } from "./cluster-place.ts";
import { clusterReporter } from "./cluster-reporter.ts";
import { clusterWebhook } from "./cluster-webhook.ts";
import { clusterWrites } from "./cluster-writes.ts";

/** The cluster, or why there is none here. */
interface Scene extends AsyncDisposable {
  readonly place: ClusterPlace | string;
}

/** What the parts in a cluster do and cost. */
export const clusterStage: Stage = defineStage<Scene>({
  prepare: async (bench: Bench) => {
    await using resources = new AsyncDisposableStack();
    const place = whyNoCluster() ?? (await prepareCluster(bench, resources));
    const owned = resources.move();
    return { place, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  },
  // The model in the registry and on the node, and what etcd writes.
  dataBytes: () => 2 ** 29,
  rows: [clusterInstall, clusterWebhook, clusterReporter, clusterWrites].map(whereClustersRun),
});

function whereClustersRun(row: Row<ClusterPlace>): Row<Scene> {
  return {
    ...row,
    measure: async ({ place }, bench) =>
      typeof place === "string" ? { entries: [], skipped: place } : row.measure(place, bench),
  };
}
