import { chmod, chown, copyFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { socketPath } from "../../src/agent/api/routes.ts";
import { createAgentClient } from "../../src/agent/client/client.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { isApiError } from "../../src/kubernetes/api/api-error.ts";
import {
  type ApiRequest,
  type ClusterApi,
  createClusterApi,
} from "../../src/kubernetes/api/cluster-api.ts";
import type { Lease, Node, OwnerReference } from "../../src/kubernetes/api/objects.ts";
import { defaultNamespace, labelKey, labelPrefix } from "../../src/kubernetes/names.ts";
import { type NodeModels, nodeModelsPath } from "../../src/kubernetes/node-models.ts";
import { describeReport } from "../../src/kubernetes/reporter/report.ts";
import { type AgentProcess, agentUser, startAgentProcess } from "../support/agent-process.ts";
import { ballastProgram } from "../support/ballast-command.ts";
import { applyTemplates } from "../support/chart.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { shownModel } from "../support/fake-status-agent.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { type ProgramProcess, startProgram } from "../support/program-process.ts";
import { toolsMissing } from "../support/programs.ts";
import { openWorkplace, type Workplace } from "../support/workplace.ts";

const missing = toolsMissing(...controlPlaneTools);
const isRoot = process.geteuid?.() === 0;
const own = "worker-1";
const other = "worker-2";
const account = "ballast-reporter";
const templates = ["crd-nodemodels", "reporter-rbac", "reporter-policy", "reporter-daemon-set"];
const graceSeconds = 3;
const eventually = { timeout: 30_000, interval: 50 };

const nodePath = (name: string) => `/api/v1/nodes/${name}`;
const leasesPath = `/apis/coordination.k8s.io/v1/namespaces/${defaultNamespace}/leases`;
const freshKey = labelKey(digestOf("fresh"));

/** Skipped where nobody may change users. */
describe.skipIf(missing || !isRoot)("a reporter on a real cluster", () => {
  let place: Workplace;
  let folder: TemporaryFolder;
  let plane: ControlPlane;
  let agent: AgentProcess;
  let reporter: ProgramProcess;
  const resources = new AsyncDisposableStack();

  beforeAll(async () => {
    place = resources.use(await openWorkplace());
    folder = resources.use(await makeTemporaryFolder());
    plane = resources.use(await startControlPlane({ folder: join(folder.path, "plane") }));
    for (const name of [own, other]) await plane.addNode(name);
    await plane.kubectl(["create", "namespace", defaultNamespace]);
    await applyTemplates(plane, templates);
    await untilPolicyHolds();
    agent = resources.use(await startAgentProcess(folder.path));
    reporter = resources.use(await startReporterProcess());
  }, 180_000);
  afterAll(() => resources.disposeAsync());

  /** As a pod does it: a user of its own, the agent's group, the token of its pod. */
  async function startReporterProcess(): Promise<ProgramProcess> {
    const kubeconfig = join(folder.path, "reporter.kubeconfig");
    await copyFile(await plane.kubeconfigFor(defaultNamespace, account, { node: own }), kubeconfig);
    const user = agentUser + 1;
    await chown(kubeconfig, user, user);
    // The authority's certificate is in there.
    await chmod(join(folder.path, "plane"), 0o755);
    const who = [`--reuid=${user}`, `--regid=${user}`, `--groups=${agentUser}`];
    const nothing = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
    const { process: started } = await startProgram(
      [
        "setpriv",
        ...who,
        ...nothing,
        "--pdeathsig",
        "KILL",
        "--",
        ballastProgram,
        "reporter",
        `--node=${own}`,
        `--run=${agent.run}`,
        `--kubeconfig=${kubeconfig}`,
        `--namespace=${defaultNamespace}`,
        "--label-min-bytes=1MiB",
        `--agent-grace=${graceSeconds}`,
        "--listen=127.0.0.1:0",
      ],
      { env: { HOME: folder.path }, ready: /"event":"reporter serves"/, timeoutMs: 30_000 },
    );
    return started;
  }

  /** Policies take a moment: what they forbid is tried until it is refused. */
  async function untilPolicyHolds(): Promise<void> {
    const kubeconfig = await plane.kubeconfigFor(defaultNamespace, account, { node: own });
    using api = createClusterApi({ kubeconfig, userAgent: "test" });
    const body = { metadata: { labels: { "example.com/tried": "x" } } };
    const attempt = {
      method: "PATCH",
      path: nodePath(own),
      body,
      query: { dryRun: "All" },
    } as const;
    await vi.waitFor(async () => expect(await statusOf(api, attempt)).toBe(403), eventually);
  }

  const admin = () => createAgentClient(socketPath(agent.run, "admin"));
  const node = (name = own) => plane.api.call<Node>({ method: "GET", path: nodePath(name) });
  const labels = async () =>
    Object.keys((await node()).metadata.labels ?? {}).filter((key) => key.startsWith(labelPrefix));
  const report = () =>
    plane.api.call<NodeModels>({ method: "GET", path: `${nodeModelsPath}/${own}` });
  const expectLabels = async (...digests: Digest[]) => {
    await expect.poll(labels, eventually).toEqual(digests.map(labelKey).toSorted());
  };

  async function pull(name: string): Promise<Digest> {
    const source = await place.writeModel(name.replaceAll(/[^a-z]/g, "-"), name);
    await place.push(source, name);
    return (await admin().prefetch({ reference: place.ref(name) })).digest;
  }

  async function setLabel(key: string, value: string | null): Promise<void> {
    const body = { metadata: { labels: { [key]: value } } };
    await plane.api.call({ method: "PATCH", path: nodePath(own), body });
  }

  async function empty(): Promise<void> {
    await admin().collect({ maxBytes: 0 });
    await expectLabels();
  }

  test("labels its Node after a pull, tells more in NodeModels, and keeps its Lease", async () => {
    const digest = await pull("team/model:v1");
    await expectLabels(digest);
    await expect
      .poll(async () => (await report()).status, eventually)
      .toMatchObject({ agentReady: true, readyModels: 1, models: [{ digest, state: "ready" }] });
    const { metadata } = await node();
    expect((await report()).metadata.ownerReferences).toMatchObject([{ uid: metadata.uid }]);
    const path = `${leasesPath}/reporter.${own}`;
    const { spec } = await plane.api.call<Lease>({ method: "GET", path });
    expect(spec).toMatchObject({ leaseDurationSeconds: 60, renewTime: expect.any(String) });
    const table = await plane.kubectl(["get", "nodemodels"]);
    expect(table).toMatch(/NAME +AGENT +READY +BYTES +REPORTED\n/);
    expect(table).toMatch(new RegExp(`^${own} +true +1 +\\d+ +\\d+s$`, "m"));
    await empty();
  });

  test("serves the metrics of its agent behind its own", async () => {
    const [, port] = /"event":"reporter serves".*"port":(\d+)/.exec(reporter.logs()) ?? [];
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toContain("ballast_reporter_agent_ready 1\n");
    expect(metrics).toMatch(/^ballast_store_bytes \d+$/m);
    expect(metrics.match(/# EOF/g)).toHaveLength(1);
  });

  test.each(["removed", "evicted"] as const)(
    "takes the label back before a model is %s",
    async (how) => {
      const digest = await pull(`team/${how}:v1`);
      await expectLabels(digest);
      const trees = join(agent.root, "trees");
      const before = (await stat(trees)).mtimeMs;
      const begun = Date.now();
      if (how === "removed") await admin().remove({ model: digest });
      else await admin().collect({ maxBytes: 0 });
      expect(Date.now() - begun).toBeLessThan(4500);
      expect(await labels()).toEqual([]);
      const line = reporter
        .logs()
        .split("\n")
        .findLast((each) => each.includes('"labels written"'));
      const written: { time: string; changes: unknown } = JSON.parse(line ?? "{}");
      expect(written.changes).toEqual({ [labelKey(digest)]: null });
      const goneAt = (await stat(trees)).mtimeMs;
      expect(goneAt).toBeGreaterThan(before);
      expect(Date.parse(written.time)).toBeLessThanOrEqual(Math.ceil(goneAt));
    },
  );

  test("mends a label that was forged or removed by hand", async () => {
    const digest = await pull("team/mended:v1");
    await expectLabels(digest);
    await setLabel(freshKey, "ready");
    await expectLabels(digest);
    await setLabel(labelKey(digest), null);
    await expectLabels(digest);
    expect(reporter.logs()).toContain('"labels mended"');
    await empty();
  });

  test("takes the labels of a killed agent back within the grace, and sets them when it is there again", async () => {
    const digest = await pull("team/killed:v1");
    await expectLabels(digest);
    const killedAt = Date.now();
    await agent.kill();
    await expectLabels();
    expect(Date.now() - killedAt).toBeLessThan(1000 * graceSeconds + 5000);
    await expect.poll(async () => (await report()).status?.agentReady, eventually).toBe(false);
    await agent.start();
    await expectLabels(digest);
    await empty();
  });

  test("tells what changed while the API server was away", async () => {
    const first = await pull("team/first:v1");
    await expectLabels(first);
    const second = await Promise.all([
      pull("team/second:v1"),
      plane.restartApiServer({ downMs: 2000 }),
    ]).then(([digest]) => digest);
    await expectLabels(first, second);
    await expect.poll(() => reporter.logs(), eventually).toContain('"cluster reached again"');
    await empty();
  });

  test("leaves the labels where it is stopped, and takes them up again", async () => {
    const digest = await pull("team/stopped:v1");
    await expectLabels(digest);
    process.kill(reporter.pid, "SIGTERM");
    await reporter.ended;
    expect(reporter.logs()).toContain('"reporter stops"');
    expect(await labels()).toEqual([labelKey(digest)]);
    reporter = resources.use(await startReporterProcess());
    await setLabel(freshKey, "ready");
    await expectLabels(digest);
    await empty();
  });

  describe("with its own token", () => {
    let api: ClusterApi;
    let owner: OwnerReference;

    beforeAll(async () => {
      const kubeconfig = await plane.kubeconfigFor(defaultNamespace, account, { node: own });
      api = createClusterApi({ kubeconfig, userAgent: "test" });
      resources.use(api);
      const { uid = "" } = (await node()).metadata;
      owner = { apiVersion: "v1", kind: "Node", name: own, uid };
      const stranger = { metadata: { name: other } };
      const body = { apiVersion: "ballast.dev/v1alpha1", kind: "NodeModels", ...stranger };
      await plane.api.call({ method: "POST", path: nodeModelsPath, body });
    });

    const patch = (path: string, body: unknown): ApiRequest => ({ method: "PATCH", path, body });
    const labelled = (values: Readonly<Record<string, string | null>>) => ({
      metadata: { labels: values },
    });
    const status = {
      status: { reportedAt: new Date().toISOString(), agentReady: true, models: [] },
    };
    const made = (name: string, metadata: unknown = {}): ApiRequest => ({
      method: "POST",
      path: leasesPath,
      body: {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name, namespace: defaultNamespace, ...Object(metadata) },
      },
    });
    const nodeModels = (name: string, metadata: unknown): ApiRequest => ({
      method: "POST",
      path: nodeModelsPath,
      body: {
        apiVersion: "ballast.dev/v1alpha1",
        kind: "NodeModels",
        metadata: { name, ...Object(metadata) },
      },
    });

    test.each<[string, () => ApiRequest]>([
      ["label its own Node", () => patch(nodePath(own), labelled({ [freshKey]: "ready" }))],
      ["write its own NodeModels", () => patch(`${nodeModelsPath}/${own}/status`, status)],
      ["renew its own Lease", () => patch(`${leasesPath}/reporter.${own}`, { spec: {} })],
    ])("it can %s", async (_, request) => {
      // The reporter makes what is not there yet.
      const attempt = () => statusOf(api, { ...request(), query: { dryRun: "All" } });
      await expect.poll(attempt, eventually).toBe(200);
    });

    test.each<[string, string, () => ApiRequest]>([
      [
        "label another Node",
        "may not write to node",
        () => patch(nodePath(other), labelled({ [freshKey]: "ready" })),
      ],
      [
        "add other labels",
        "may change no labels",
        () => patch(nodePath(own), labelled({ "example.com/zone": "x" })),
      ],
      [
        "change other labels",
        "may change no labels",
        () => patch(nodePath(own), labelled({ "kubernetes.io/hostname": "worker-9" })),
      ],
      [
        "remove other labels",
        "may change no labels",
        () => patch(nodePath(own), labelled({ "kubernetes.io/hostname": null })),
      ],
      [
        "give labels another value",
        "40 hex digits",
        () => patch(nodePath(own), labelled({ [freshKey]: "best" })),
      ],
      [
        "give labels another shape",
        "40 hex digits",
        () => patch(nodePath(own), labelled({ [`${labelPrefix}gpu`]: "ready" })),
      ],
      [
        "annotate its own Node",
        "nothing of its node but labels",
        () => patch(nodePath(own), { metadata: { annotations: { "example.com/a": "x" } } }),
      ],
      [
        "taint its own Node",
        "nothing of its node but labels",
        () => patch(nodePath(own), { spec: { taints: [{ key: "a", effect: "NoSchedule" }] } }),
      ],
      [
        "cordon its own Node",
        "nothing of its node but labels",
        () => patch(nodePath(own), { spec: { unschedulable: true } }),
      ],
      [
        "give its own Node finalizers",
        "no owners and no finalizers",
        () => patch(nodePath(own), { metadata: { finalizers: ["example.com/stay"] } }),
      ],
      [
        "give its own Node owners",
        "no owners and no finalizers",
        () => patch(nodePath(own), { metadata: { ownerReferences: [{ ...owner, name: other }] } }),
      ],
      [
        "change the status of its own Node",
        "cannot patch resource",
        () => patch(`${nodePath(own)}/status`, { status: { capacity: { cpu: "1" } } }),
      ],
      [
        "delete its own Node",
        "cannot delete resource",
        () => ({ method: "DELETE", path: nodePath(own) }),
      ],
      [
        "delete another Node",
        "cannot delete resource",
        () => ({ method: "DELETE", path: nodePath(other) }),
      ],
      [
        "make a Node",
        "cannot create resource",
        () => ({
          method: "POST",
          path: "/api/v1/nodes",
          body: { apiVersion: "v1", kind: "Node", metadata: { name: "worker-3" } },
        }),
      ],
      [
        "write another NodeModels",
        "may not write NodeModels",
        () => patch(`${nodeModelsPath}/${other}/status`, status),
      ],
      [
        "make another NodeModels",
        "may not write NodeModels",
        () => nodeModels("worker-3", { ownerReferences: [owner] }),
      ],
      ["make NodeModels that nothing owns", "is owned by its Node", () => nodeModels(own, {})],
      [
        "make NodeModels that never go",
        "has no finalizers",
        () => nodeModels(own, { ownerReferences: [owner], finalizers: ["example.com/stay"] }),
      ],
      [
        "delete NodeModels",
        "cannot delete resource",
        () => ({ method: "DELETE", path: `${nodeModelsPath}/${other}` }),
      ],
      [
        "make another Lease",
        "may not write Lease",
        () => made(`reporter.${other}`, { ownerReferences: [owner] }),
      ],
      ["take the controller's Lease", "may not write Lease", () => made("ballast-controller")],
      [
        "read secrets",
        "cannot list resource",
        () => ({ method: "GET", path: `/api/v1/namespaces/${defaultNamespace}/secrets` }),
      ],
      ["read pods", "cannot list resource", () => ({ method: "GET", path: "/api/v1/pods" })],
      [
        "get itself another token",
        "cannot create resource",
        () => ({
          method: "POST",
          path: `/api/v1/namespaces/${defaultNamespace}/serviceaccounts/${account}/token`,
          body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
        }),
      ],
    ])("it can not %s: %s", async (_, why, request) => {
      const { method, ...rest } = request();
      const query = method === "GET" ? {} : { dryRun: "All" };
      const refused = api.call({ method, ...rest, query });
      await expect(refused).rejects.toMatchObject({ status: 403 });
      await expect(refused).rejects.toThrow(why);
    });

    test("it is told why", async () => {
      const request = patch(nodePath(other), labelled({ [freshKey]: "ready" }));
      await expect(api.call(request)).rejects.toThrow(
        `the Ballast reporter of node ${own} may not write to node ${other}`,
      );
    });

    test("a token that names no node can do nothing", async () => {
      const kubeconfig = await plane.kubeconfigFor(defaultNamespace, account);
      using anywhere = createClusterApi({ kubeconfig, userAgent: "test" });
      const request = patch(nodePath(own), labelled({ [freshKey]: "ready" }));
      await expect(anywhere.call(request)).rejects.toMatchObject({ status: 403 });
      await expect(anywhere.call(request)).rejects.toThrow("names no node");
    });

    test("others are not held up by the policy", async () => {
      const request = patch(nodePath(own), labelled({ "example.com/zone": "x" }));
      expect(await statusOf(plane.api, { ...request, query: { dryRun: "All" } })).toBe(200);
    });
  });

  test("has a report that an API server takes at its largest, far below what it refuses", async () => {
    const progress = {
      name: "largest",
      state: "pulling",
      hereBytes: 1e15,
      totalBytes: 2e15,
      bytesPerSecond: 1e11,
      secondsLeft: 1e4,
    } as const;
    const models = Array.from({ length: 2000 }, (_, at) =>
      shownModel(`m${at}`, { state: "pulling", whole: false, pinned: true, bytes: 1e15, progress }),
    );
    const watermarks = { highBytes: 1, lowBytes: 1, lowFreeBytes: 1, highFreeBytes: 1 };
    const store = { root: "/", bytes: 1e15, freeBytes: 1, totalBytes: 9e15, watermarks };
    const version = "v".repeat(64);
    const startedAt = new Date().toISOString();
    const described = describeReport({ version, startedAt, store, models }, { isReady: true });
    const status = { reportedAt: startedAt, ...described };
    const name = "largest";
    const body = { apiVersion: "ballast.dev/v1alpha1", kind: "NodeModels", metadata: { name } };
    await plane.api.call({ method: "POST", path: nodeModelsPath, body });
    const path = `${nodeModelsPath}/${name}`;
    const write = (more: object) =>
      statusOf(plane.api, {
        method: "PATCH",
        path: `${path}/status`,
        body: { status: { ...status, ...more } },
      });
    expect(await write({})).toBe(200);
    const text = JSON.stringify(await plane.api.call({ method: "GET", path }));
    expect(text.length).toBeLessThan(200_000);
    const [first] = described.models;
    expect(await write({ models: [...described.models, first] })).toBe(422);
    await plane.api.call({ method: "DELETE", path });
  });

  test("goes on when its Node is deleted, and the NodeModels object goes with it", async () => {
    await plane.api.call({ method: "DELETE", path: nodePath(own) });
    const found = () => statusOf(plane.api, { method: "GET", path: `${nodeModelsPath}/${own}` });
    await expect.poll(found, { timeout: 90_000, interval: 200 }).toBe(404);
    const ended = await Promise.race([reporter.ended.then(() => true), Promise.resolve(false)]);
    expect(ended).toBe(false);
  });
});

/** The status that a request is answered with; 200 for any success. */
async function statusOf(api: ClusterApi, request: ApiRequest): Promise<number> {
  try {
    await api.call(request);
    return 200;
  } catch (error) {
    if (isApiError(error)) return error.status;
    throw error;
  }
}
