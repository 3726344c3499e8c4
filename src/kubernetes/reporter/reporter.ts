import { hostname } from "node:os";
import { socketPath } from "../../agent/api/routes.ts";
import { createAgentClient } from "../../agent/client/client.ts";
import type { ListenAddress } from "../../core/listen-address.ts";
import { createLog } from "../../core/log.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import type { ApiObject } from "../api/objects.ts";
import { type NodeModels, nodeModelsPath } from "../node-models.ts";
import { serveRole } from "../role-server.ts";
import { followAgent } from "./agent-view.ts";
import type { Keeper } from "./keeper.ts";
import { keepLabels } from "./label-keeper.ts";
import { createReporterMetrics } from "./metrics.ts";
import { followOwn } from "./own-object.ts";
import { defaultPace, type Pace } from "./pace.ts";
import { keepPresence } from "./presence.ts";
import { keepReport } from "./report-keeper.ts";

export interface ReporterOptions {
  readonly api: ClusterApi;
  /** The name of its Node. */
  readonly node: string;
  /** Folder of the agent's sockets. */
  readonly run: string;
  /** Where its Lease is. */
  readonly namespace: string;
  /** Whether the node gets labels. */
  readonly labels: "affinity" | "off";
  /** Models that are smaller get none. */
  readonly labelMinBytes: number;
  /** For how long the agent may be silent before the node's labels go. */
  readonly agentGraceMs: number;
  readonly listen: ListenAddress;
  /** Takes lines of the log. */
  readonly write: (line: string) => void;
  readonly pace?: Partial<Pace> | undefined;
}

/** Tells a cluster which models a node has. Disposing ends it and leaves what it told. */
export interface Reporter extends AsyncDisposable {
  /** Where `/healthz`, `/readyz` and `/metrics` are. */
  readonly port: number;
}

/** Most labels of Ballast on a node. */
const maxLabels = 64;

const metricsMs = 5_000;

/**
 * Starts a reporter: labels of its Node, its NodeModels object and its Lease follow the agent from now on, through
 * restarts of the agent and of the API server. Rejects only where it cannot listen.
 */
export async function startReporter(options: ReporterOptions): Promise<Reporter> {
  const { node: name, namespace, write, listen } = options;
  const pace = { ...defaultPace, ...options.pace };
  const log = createLog(write);
  await using resources = new AsyncDisposableStack();
  const metrics = createReporterMetrics();
  const api = metrics.countWrites(options.api);
  const client = createAgentClient(socketPath(options.run, "locality"));
  const keepers: Keeper[] = [];
  const look = () => {
    for (const keeper of keepers) keeper.look();
  };
  const agent = resources.use(
    followAgent({
      client,
      graceMs: options.agentGraceMs,
      tells: options.labels === "affinity",
      pace,
      onChange: look,
      log,
    }),
  );
  const nodes = { path: "/api/v1/nodes", metadataOnly: true };
  const followed = { name, onChange: look, log };
  const node = resources.use(followOwn<ApiObject>(api, { collection: nodes, ...followed }));
  const reports = { path: nodeModelsPath };
  const own = resources.use(followOwn<NodeModels>(api, { collection: reports, ...followed }));
  const { labelMinBytes: minBytes } = options;
  const choice = options.labels === "off" ? undefined : { minBytes, limit: maxLabels };
  const shared = { api, name, node, agent, pace, log };
  const onMend = () => metrics.countMend();
  const labels = resources.use(keepLabels({ ...shared, client, choice, onMend }));
  const report = resources.use(keepReport({ ...shared, own, onReport: () => metrics.reported() }));
  keepers.push(labels, report);
  const whyNotReady = () => {
    if (!node.isKnown) return `the Node ${name} has not been read yet`;
    if (node.object === undefined) return `the cluster has no Node ${name}: see --node`;
    return labels.failure;
  };
  const server = resources.use(
    await serveRole({
      listen,
      whyNotReady,
      metrics: async () => {
        const signal = AbortSignal.timeout(metricsMs);
        const agentText = await client.metrics({ signal }).catch(() => undefined);
        const agentReady = agent.state === "ready";
        return metrics.describe({ labels: labels.count, agentReady, agentText });
      },
    }),
  );
  const stop = new AbortController();
  const { signal } = stop;
  const everyMs = pace.leaseMs;
  const presence = { api, namespace, name, node, whyNotReady, everyMs, log, signal };
  const present = keepPresence({ ...presence, holder: hostname() });
  resources.defer(async () => {
    stop.abort();
    await present;
  });
  log("reporter serves", { node: name, server: api.server, port: server.port });
  const owned = resources.move();
  return {
    port: server.port,
    [Symbol.asyncDispose]: async () => {
      log("reporter stops");
      await owned.disposeAsync();
    },
  };
}
