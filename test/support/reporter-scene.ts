import { join } from "node:path";
import type { ModelDocument } from "../../src/agent/api/documents.ts";
import { digestOf } from "../../src/core/digest.ts";
import { createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { defaultNamespace, labelKey, labelPrefix } from "../../src/kubernetes/names.ts";
import { type NodeModelsStatus, nodeModelsPath } from "../../src/kubernetes/node-models.ts";
import type { Pace } from "../../src/kubernetes/reporter/pace.ts";
import {
  type Reporter,
  type ReporterOptions,
  startReporter,
} from "../../src/kubernetes/reporter/reporter.ts";
import { type FakeApiServer, startFakeApiServer } from "./fake-api-server.ts";
import { type FakeStatusAgent, startFakeStatusAgent } from "./fake-status-agent.ts";
import { makeTemporaryFolder } from "./models.ts";

/** A reporter between an API server and an agent that do as they are told. */
export interface ReporterScene extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly agent: FakeStatusAgent;
  /** What it logged, oldest first, over all starts. */
  readonly log: Record<string, unknown>[];
  start(options?: Partial<ReporterOptions>): Promise<Reporter>;
  stop(): Promise<void>;
  /** Has the agent say this, without a name's digest being spelled out. */
  show(...models: readonly (string | ModelDocument)[]): void;
  addNode(name?: string, labels?: Readonly<Record<string, string>>): void;
  /** The node's labels of Ballast, sorted. */
  labels(): string[];
  /** Changes a label of the node as an administrator would. */
  setLabel(key: string, value: string | null): void;
  report(): NodeModelsStatus | undefined;
  /** Writes to objects of a kind so far. */
  writes(kind: "nodes" | "nodemodels" | "leases"): string[];
}

/** Nothing takes long here. */
export const quick: Pace = {
  labelGapMs: 20,
  longestMendGapMs: 400,
  reportGapMs: 50,
  progressGapMs: 400,
  leaseMs: 60,
  probeMs: 50,
  answerMs: 300,
  retryMs: 20,
};

export const nodeName = "worker-1";

/** The label of the model that `name` stands for. */
export function keyOf(name: string): string {
  return labelKey(digestOf(name));
}

/** Starts server and agent; the Node is there, the reporter is not. */
export async function openReporterScene(
  shown: (name: string) => ModelDocument,
): Promise<ReporterScene> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await makeTemporaryFolder());
  const server = resources.use(await startFakeApiServer());
  const agent = resources.use(await startFakeStatusAgent(join(folder.path, "run")));
  const log: Record<string, unknown>[] = [];
  let running: AsyncDisposableStack | undefined;
  const stop = async () => {
    await running?.disposeAsync();
    running = undefined;
  };
  resources.defer(stop);
  const node = () => server.objects.get("/api/v1/nodes", nodeName);
  const owned = resources.move();
  const scene: ReporterScene = {
    server,
    agent,
    log,
    start: async (options = {}) => {
      await stop();
      running = new AsyncDisposableStack();
      const { kubeconfig } = server;
      const api = running.use(createClusterApi({ kubeconfig, userAgent: "reporter-test" }));
      const reporter = await startReporter({
        api,
        node: nodeName,
        run: agent.run,
        namespace: defaultNamespace,
        labels: "affinity",
        labelMinBytes: 1000,
        agentGraceMs: 200,
        listen: { host: "127.0.0.1", port: 0 },
        write: (line) => void log.push(JSON.parse(line) as Record<string, unknown>),
        pace: quick,
        ...options,
      });
      return running.use(reporter);
    },
    stop,
    show: (...models) =>
      agent.show(models.map((model) => (typeof model === "string" ? shown(model) : model))),
    addNode: (name = nodeName, labels = {}) => {
      const metadata = { name, labels: { "kubernetes.io/hostname": name, ...labels } };
      server.objects.create("/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata });
    },
    labels: () =>
      Object.keys(node()?.metadata.labels ?? {})
        .filter((key) => key.startsWith(labelPrefix))
        .sort(),
    setLabel: (key, value) => {
      const found = node();
      if (found === undefined) throw new Error("there is no node");
      const others = Object.entries(found.metadata.labels ?? {}).filter(([each]) => each !== key);
      const added = value === null ? [] : [[key, value] as const];
      const labels = Object.fromEntries([...others, ...added]);
      const content = { ...found, metadata: { ...found.metadata, labels } };
      server.objects.update("/api/v1/nodes", nodeName, content, "main");
    },
    report: () =>
      server.objects.get(nodeModelsPath, nodeName)?.["status"] as NodeModelsStatus | undefined,
    writes: (kind) => server.writes().filter((line) => line.includes(`/${kind}`)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  scene.addNode();
  return scene;
}
