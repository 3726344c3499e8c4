import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { forEachConcurrently } from "../../../src/core/concurrently.ts";
import { digestOf } from "../../../src/core/digest.ts";
import type { ClusterApi } from "../../../src/kubernetes/api/cluster-api.ts";
import { listAll } from "../../../src/kubernetes/api/list.ts";
import type { Node } from "../../../src/kubernetes/api/objects.ts";
import { defaultNamespace, labelKey } from "../../../src/kubernetes/names.ts";
import { type NodeModels, nodeModelsPath } from "../../../src/kubernetes/node-models.ts";
import { startReporter } from "../../../src/kubernetes/reporter/reporter.ts";
import {
  type FakeStatusAgent,
  shownModel,
  startFakeStatusAgent,
} from "../../support/fake-status-agent.ts";
import type { Bench, Row } from "../bench.ts";
import type { Fact } from "../results.ts";
import type { ClusterPlace } from "./cluster-place.ts";

const model = "team/simulated";
/** Long enough for a report that was put off. */
const quietMs = 30_000;

/** How many nodes tell of how many models; Leases are renewed in any case and counted apart. */
export const clusterWrites: Row<ClusterPlace> = {
  id: "cluster-writes",
  title: "writes to the API server when each of many nodes gets one model",
  measure: async ({ plane }, bench) => {
    const nodes = bench.settings.smoke ? 10 : 1000;
    await using resources = new AsyncDisposableStack();
    const counts = { objects: 0, leases: 0 };
    const api = countWrites(plane.api, counts);
    const agents = await startNodes(plane.api, { api, nodes, bench, resources });
    const told = async () =>
      (await listAll<NodeModels>(plane.api, { path: nodeModelsPath })).items.filter(
        ({ metadata, status }) => isSimulated(metadata.name) && status !== undefined,
      );
    await until(bench, async () => (await told()).length === nodes);
    const startWrites = counts.objects;
    counts.objects = 0;
    counts.leases = 0;
    const started = performance.now();
    for (const agent of agents) agent.show([shownModel(model)]);
    const labelled = async () => {
      const path = "/api/v1/nodes";
      const labelSelector = `${labelKey(digestOf(model))}=ready`;
      const found = await listAll<Node>(plane.api, { path, labelSelector, metadataOnly: true });
      return found.items.length;
    };
    await until(bench, async () => (await labelled()) === nodes);
    const seconds = (performance.now() - started) / 1000;
    const isReported = ({ status }: NodeModels) => status?.models.length === 1;
    await until(bench, async () => (await told()).filter(isReported).length === nodes);
    const writes = counts.objects;
    counts.objects = 0;
    await delay(bench.settings.smoke ? 2000 : quietMs, undefined, { signal: bench.signal });
    const facts: Fact[] = [
      { id: "nodes", label: "nodes", value: nodes, unit: "count" },
      {
        id: "start",
        label: "writes for each node, at its first start",
        value: startWrites / nodes,
        unit: "ratio",
      },
      {
        id: "each",
        label: "writes for each node that gets a model",
        value: writes / nodes,
        unit: "ratio",
      },
      { id: "labelled", label: "until all nodes have the label", value: seconds, unit: "seconds" },
      {
        id: "idle",
        label: `writes while nothing changes, ${quietMs / 1000} s`,
        value: counts.objects,
        unit: "count",
      },
      { id: "leases", label: "renewals of Leases meanwhile", value: counts.leases, unit: "count" },
    ];
    return { entries: [], facts };
  },
};

function isSimulated(name = ""): boolean {
  return name.startsWith("simulated-");
}

function countWrites(api: ClusterApi, counts: { objects: number; leases: number }): ClusterApi {
  return {
    ...api,
    call: (request, options) => {
      const kind = request.path.includes("/leases") ? "leases" : "objects";
      if (request.method !== "GET") counts[kind] += 1;
      return api.call(request, options);
    },
  };
}

/** Starts reporters of so many nodes in this process, each with an agent that says what it is told. */
async function startNodes(
  admin: ClusterApi,
  means: {
    readonly api: ClusterApi;
    readonly nodes: number;
    readonly bench: Bench;
    readonly resources: AsyncDisposableStack;
  },
): Promise<FakeStatusAgent[]> {
  const { api, nodes, bench, resources } = means;
  const agents: FakeStatusAgent[] = [];
  const names = Array.from({ length: nodes }, (_, at) => `simulated-${at}`);
  await forEachConcurrently(names, 16, async (node) => {
    bench.signal.throwIfAborted();
    const body = { apiVersion: "v1", kind: "Node", metadata: { name: node } };
    await admin.call({ method: "POST", path: "/api/v1/nodes", body });
    const run = join(bench.workspace.fast, "agents", node);
    await mkdir(run, { recursive: true });
    const agent = resources.use(await startFakeStatusAgent(run));
    agents.push(agent);
    resources.use(
      await startReporter({
        api,
        node,
        run,
        namespace: defaultNamespace,
        labels: "affinity",
        labelMinBytes: 0,
        agentGraceMs: 60_000,
        listen: { host: "127.0.0.1", port: 0 },
        write: () => undefined,
      }),
    );
  });
  return agents;
}

async function until(bench: Bench, check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await delay(500, undefined, { signal: bench.signal });
}
