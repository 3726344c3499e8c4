import { join } from "node:path";
import { expect } from "vitest";
import type { Digest } from "../../src/core/digest.ts";
import { parseDigest } from "../../src/core/digest.ts";
import type { Pod } from "../../src/kubernetes/api/objects.ts";
import { defaultNamespace, driverName } from "../../src/kubernetes/names.ts";
import { push } from "../../src/model/push.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { ballastProgram } from "./ballast-command.ts";
import { applyTemplates } from "./chart.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { writeDockerConfig } from "./docker-config.ts";
import { freePorts } from "./free-ports.ts";
import { makeTemporaryFolder, writeTree } from "./models.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

/** A control plane with the webhook's part of the chart, and a registry that lets one account in. */
export interface WebhookScene extends AsyncDisposable {
  readonly plane: ControlPlane;
  /** Answered requests of the registry, as `METHOD /path STATUS`. */
  readonly requests: readonly string[];
  /** A reference to the registry, of `repository:tag`. */
  ref(name: string): string;
  /** Pushes a small model of this content; resolves to its digest. */
  push(name: string, content: string): Promise<Digest>;
  /**
   * Starts the webhook as a process, with its own token; resolves when it serves and the API server
   * trusts it. It reads `team/*` with the registry's account.
   */
  startWebhook(options?: { readonly port?: number }): Promise<ProgramProcess>;
  /** A kubeconfig of the webhook's ServiceAccount. */
  readonly kubeconfig: string;
  /** Applies these templates of the chart, rendered with these values. */
  applyChart(templates: readonly string[], values?: readonly string[]): Promise<void>;
  /** Creates pods, and waits until each has a node; resolves to the nodes' names. */
  place(pods: readonly NewPod[]): Promise<string[]>;
  createPod(pod: NewPod, options?: { readonly dryRun?: boolean }): Promise<Pod>;
  deletePods(): Promise<void>;
}

/** What a test says of a pod. */
interface NewPod {
  readonly reference?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Of its controller. */
  readonly ownerUid?: string | undefined;
  /** More of its spec. */
  readonly spec?: Readonly<Record<string, unknown>> | undefined;
}

export const podsPath = "/api/v1/namespaces/default/pods";

const policyApi = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
/** Those of the chart that the webhook needs, but for its pods. */
export const webhookTemplates: readonly string[] = [
  "webhook-state",
  "webhook-access",
  "webhook-policy",
  "webhook-configuration",
];
const login = { username: "tester", password: "secret" };

/** Starts it; takes about ten seconds. */
export async function openWebhookScene(): Promise<WebhookScene> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await makeTemporaryFolder());
  const inside = (name: string) => join(folder.path, name);
  const requests: string[] = [];
  const registry = started.use(
    await startRegistry({
      root: inside("registry"),
      auth: login,
      limits: { closeGraceMs: 100 },
      onRequest: ({ method, path, status }) => requests.push(`${method} ${path} ${status}`),
    }),
  );
  const plane = started.use(await startControlPlane({ folder: inside("plane") }));
  const [port = 0] = await freePorts(1);
  const url = `https://localhost:${port}/pods`;
  const applyChart: WebhookScene["applyChart"] = async (templates, values = []) => {
    const set = [`webhook.url=${url}`, ...values].map((value) => `--set=${value}`);
    await applyTemplates(plane, templates, [`--api-versions=${policyApi}`, ...set]);
  };
  await plane.kubectl(["create", "namespace", defaultNamespace]);
  await applyChart(webhookTemplates);
  const kubeconfig = await plane.kubeconfigFor(defaultNamespace, "ballast-webhook");
  await writeTree(folder.path, {
    "agent.yaml": JSON.stringify({
      registries: { allow: [registry.address] },
      access: { ownCredentials: [`${registry.address}/team/*`] },
      store: { lowFreePercent: 20 },
    }),
    "login/none": "",
  });
  await writeDockerConfig(inside("login"), { [registry.address]: login });
  const owned = started.move();
  let models = 0;

  const createPod: WebhookScene["createPod"] = (pod, { dryRun = false } = {}) =>
    plane.api.call<Pod>({
      method: "POST",
      path: podsPath,
      query: { dryRun: dryRun ? "All" : undefined },
      body: describePod(pod),
    });

  async function nodeOf(name: string): Promise<string> {
    const pod = await plane.api.call<Pod>({ method: "GET", path: `${podsPath}/${name}` });
    return pod.spec.nodeName ?? "";
  }

  return {
    plane,
    requests,
    kubeconfig,
    applyChart,
    createPod,
    ref: (name) => `${registry.address}/${name}`,
    push: async (name, content) => {
      models += 1;
      await writeTree(inside(`model-${models}`), { "weights.bin": content });
      const source = inside(`model-${models}`);
      const reference = `${registry.address}/${name}`;
      const { digest } = await push({ source, reference, credentials: login });
      return parseDigest(digest);
    },
    startWebhook: async () => {
      const command = [
        ballastProgram,
        "webhook",
        `--kubeconfig=${kubeconfig}`,
        `--namespace=${defaultNamespace}`,
        `--listen=127.0.0.1:${port}`,
        "--health-listen=127.0.0.1:0",
        `--config=${inside("agent.yaml")}`,
        "--affinity-min-bytes=1",
      ] as const;
      const env = { HOME: folder.path, DOCKER_CONFIG: inside("login") };
      const options = { ready: /"webhook serves"/, timeoutMs: 30_000, env };
      const { process } = await startProgram(command, options);
      return process;
    },
    place: async (pods) => {
      const names: string[] = [];
      for (const pod of pods) names.push((await createPod(pod)).metadata.name ?? "");
      const nodes = () => Promise.all(names.map(nodeOf));
      await expect.poll(nodes, { timeout: 30_000 }).not.toContain("");
      return nodes();
    },
    deletePods: async () => {
      const query = { gracePeriodSeconds: 0 };
      await plane.api.call({ method: "DELETE", path: podsPath, query });
      const count = async () =>
        (await plane.api.call<{ items: unknown[] }>({ method: "GET", path: podsPath })).items
          .length;
      await expect.poll(count, { timeout: 30_000 }).toBe(0);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function describePod({ reference, annotations, ownerUid, spec = {} }: NewPod): unknown {
  const owner = {
    apiVersion: "example.com/v1",
    kind: "Gang",
    name: "gang",
    uid: ownerUid,
    controller: true,
  };
  const ownerReferences = ownerUid === undefined ? undefined : [owner];
  const csi = { driver: driverName, readOnly: true, volumeAttributes: { reference } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "test-", annotations, ownerReferences },
    spec: {
      containers: [{ name: "main", image: "none" }],
      tolerations: [{ operator: "Exists" }],
      ...(reference === undefined ? {} : { volumes: [{ name: "model", csi }] }),
      ...spec,
    },
  };
}
