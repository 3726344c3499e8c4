import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { isApiError } from "../../src/kubernetes/api/api-error.ts";
import {
  type ApiRequest,
  type ClusterApi,
  createClusterApi,
} from "../../src/kubernetes/api/cluster-api.ts";
import type {
  ApiList,
  ApiObject,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
} from "../../src/kubernetes/api/objects.ts";
import { defaultNamespace, labelPrefix, reporterLeaseName } from "../../src/kubernetes/names.ts";
import { ballastProgram } from "../support/ballast-command.ts";
import { applyTemplates } from "../support/chart.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { type ProgramProcess, startProgram } from "../support/program-process.ts";
import { toolsMissing } from "../support/programs.ts";

const missing = toolsMissing(...controlPlaneTools);
const account = "ballast-controller";
const templates = [
  "controller-rbac",
  "controller-policy",
  "controller-deployment",
  "storage-classes",
];
const staleSeconds = 3;
const eventually = { timeout: 60_000, interval: 100 };
const warmKey = `${labelPrefix}${"a".repeat(40)}`;
const reference = "registry.example.com/team/llama:v1";

const values = {
  storageClasses: [
    { name: "llama", reference, warm: true, secret: { name: "login" } },
    { name: "late", reference, volumeBindingMode: "WaitForFirstConsumer" },
    { name: "kept", reference, reclaimPolicy: "Retain" },
    { name: "asked" },
    { name: "broken", reference: "registry.example.com/${pvc.name}:v1:v2" },
  ],
};

const nodePath = (name: string) => `/api/v1/nodes/${name}`;
const claimsPath = "/api/v1/namespaces/default/persistentvolumeclaims";
const podsPath = "/api/v1/namespaces/default/pods";
const volumesPath = "/api/v1/persistentvolumes";
const leasesPath = `/apis/coordination.k8s.io/v1/namespaces/${defaultNamespace}/leases`;

describe.skipIf(missing)("two controllers on a real cluster", () => {
  let folder: string;
  let plane: ControlPlane;
  let kubeconfig: string;
  /** With the rights of the controller. */
  let asController: ClusterApi;
  const controllers: ProgramProcess[] = [];
  const resources = new AsyncDisposableStack();

  beforeAll(async () => {
    folder = resources.use(await makeTemporaryFolder()).path;
    plane = resources.use(await startControlPlane({ folder: join(folder, "plane") }));
    for (const name of ["plain", "dead", "living", "alone"]) await plane.addNode(name);
    await plane.kubectl(["create", "namespace", defaultNamespace]);
    const file = join(folder, "values.json");
    await writeFile(file, JSON.stringify(values));
    await applyTemplates(plane, templates, [`--values=${file}`]);
    kubeconfig = await plane.kubeconfigFor(defaultNamespace, account);
    asController = resources.use(createClusterApi({ kubeconfig, userAgent: "ballast-test" }));
    const untried = patchNode({ labels: { tried: "1" } }, { dryRun: "All" });
    await vi.waitUntil(async () => (await attempt(untried)) === "policy", eventually);
    for (const _ of [1, 2]) await startController();
  }, 180_000);
  afterAll(() => resources.disposeAsync());

  async function startController(): Promise<ProgramProcess> {
    const { process } = await startProgram(
      [
        ballastProgram,
        "controller",
        `--kubeconfig=${kubeconfig}`,
        `--namespace=${defaultNamespace}`,
        "--listen=127.0.0.1:0",
        `--stale-seconds=${staleSeconds}`,
      ],
      { ready: /"event":"controller serves"/, timeoutMs: 30_000 },
    );
    controllers.push(resources.use(process));
    return process;
  }

  const leads = (each: ProgramProcess) =>
    (each.logs().match(/"event":"controller leads"/g)?.length ?? 0) >
    (each.logs().match(/"event":"controller leads no more"/g)?.length ?? 0);

  const patchNode = (
    metadata: Readonly<Record<string, unknown>>,
    query: ApiRequest["query"] = {},
  ): ApiRequest => ({ method: "PATCH", path: nodePath("plain"), query, body: { metadata } });

  /** What keeps the controller's own token from doing it. */
  async function attempt(request: ApiRequest): Promise<"nothing" | "rights" | "policy"> {
    try {
      await asController.call(request);
      return "nothing";
    } catch (error) {
      if (!isApiError(error, 403)) throw error;
      return error.message.includes("ValidatingAdmissionPolicy") ? "policy" : "rights";
    }
  }

  async function claim(
    name: string,
    storageClassName: string,
    annotations: Record<string, string> = {},
  ): Promise<void> {
    const spec = {
      storageClassName,
      accessModes: ["ReadOnlyMany"],
      resources: { requests: { storage: "20Gi" } },
    };
    const body = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name, annotations },
      spec,
    };
    await plane.api.call({ method: "POST", path: claimsPath, body });
  }

  async function runPod(name: string): Promise<void> {
    const spec = {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "main", image: "none", volumeMounts: [{ name: "m", mountPath: "/m" }] }],
      volumes: [{ name: "m", persistentVolumeClaim: { claimName: name, readOnly: true } }],
    };
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name }, spec };
    await plane.api.call({ method: "POST", path: podsPath, body });
  }

  const get = <T>(path: string) => plane.api.call<T>({ method: "GET", path });
  const remove = (path: string) =>
    plane.api.call({ method: "DELETE", path, body: { gracePeriodSeconds: 0 } });
  const phaseOf = async (name: string) =>
    (await get<PersistentVolumeClaim>(`${claimsPath}/${name}`)).status?.phase;
  const nodeOf = async (name: string) => (await get<Pod>(`${podsPath}/${name}`)).spec.nodeName;
  const volumeOf = async (name: string) => {
    const { spec } = await get<PersistentVolumeClaim>(`${claimsPath}/${name}`);
    return get<PersistentVolume>(`${volumesPath}/${spec.volumeName}`);
  };
  const volumes = async () =>
    ((await get<ApiList<PersistentVolume>>(volumesPath)).items ?? []).map(
      ({ metadata }) => metadata.name,
    );
  const eventsOf = async (name: string) => {
    interface Event extends ApiObject {
      readonly reason: string;
      readonly message: string;
      readonly involvedObject: { readonly name: string };
      readonly source: { readonly component?: string };
    }
    const { items } = await get<ApiList<Event>>("/api/v1/namespaces/default/events");
    return (items ?? []).filter(
      ({ involvedObject, source }) => involvedObject.name === name && source.component === account,
    );
  };
  const modelLabels = async (node: string) =>
    Object.keys((await get<Node>(nodePath(node))).metadata.labels ?? {}).filter((key) =>
      key.startsWith(labelPrefix),
    );
  const label = (node: string) =>
    plane.api.call({
      method: "PATCH",
      path: nodePath(node),
      body: { metadata: { labels: { [warmKey]: "ready" } } },
    });

  /** Writes the Lease of a node's reporter, whose clock says so. */
  async function renew(node: string, clock: Date): Promise<void> {
    const name = reporterLeaseName(node);
    const spec = {
      holderIdentity: node,
      leaseDurationSeconds: 1,
      renewTime: clock.toISOString().replace("Z", "000Z"),
    };
    const body = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec };
    const path = `${leasesPath}/${name}`;
    await plane.api.call({ method: "PATCH", path, body }).catch(async (error: unknown) => {
      if (!isApiError(error, 404)) throw error;
      await plane.api.call({ method: "POST", path: leasesPath, body });
    });
  }

  test("one of them leads", async () => {
    await expect.poll(() => controllers.filter(leads).length, eventually).toBe(1);
  });

  test("its policies have no expression that the API server doubts", async () => {
    interface Policy extends ApiObject {
      readonly status?: {
        readonly observedGeneration?: number;
        readonly typeChecking?: { readonly expressionWarnings?: readonly unknown[] };
      };
    }
    const path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    const checked = async () => {
      const { items } = await get<ApiList<Policy>>(path);
      return (items ?? []).filter(({ status }) => status?.observedGeneration !== undefined);
    };
    await expect.poll(async () => (await checked()).length, eventually).toBe(2);
    for (const { status } of await checked())
      expect(status?.typeChecking?.expressionWarnings ?? []).toEqual([]);
  });

  test("its token does what the controller must, and nothing else", async () => {
    await label("plain");
    const volume = (driver: string, changes: object = {}) => ({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: "pvc-1" },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadOnlyMany"],
        claimRef: { namespace: "default", name: "c", uid: "1" },
        csi: { driver, volumeHandle: "pvc-1", readOnly: true },
        ...changes,
      },
    });
    const create = (path: string, body: unknown): ApiRequest => ({ method: "POST", path, body });
    const secret = { metadata: { name: "login" }, stringData: { token: "secret" } };
    await plane.api.call(create("/api/v1/namespaces/default/secrets", secret));
    const foreign = { ...volume("other.example.com"), metadata: { name: "foreign" } };
    await plane.api.call(create(volumesPath, foreign));
    const refused: [string, ApiRequest, "rights" | "policy"][] = [
      ["add a label", patchNode({ labels: { added: "1" } }), "policy"],
      ["add one of ours", patchNode({ labels: { [`${labelPrefix}b`]: "ready" } }), "policy"],
      ["change a label", patchNode({ labels: { "kubernetes.io/hostname": "x" } }), "policy"],
      ["change one of ours", patchNode({ labels: { [warmKey]: "no" } }), "policy"],
      ["remove a label", patchNode({ labels: { "kubernetes.io/hostname": null } }), "policy"],
      ["annotate", patchNode({ annotations: { a: "b" } }), "policy"],
      ["set finalizers", patchNode({ finalizers: ["example.com/a"] }), "policy"],
      [
        "set owners",
        patchNode({
          ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "dead", uid: "1" }],
        }),
        "policy",
      ],
      [
        "cordon",
        { method: "PATCH", path: nodePath("plain"), body: { spec: { unschedulable: true } } },
        "policy",
      ],
      [
        "write a status",
        { method: "PATCH", path: `${nodePath("plain")}/status`, body: { status: {} } },
        "rights",
      ],
      ["delete a node", { method: "DELETE", path: nodePath("plain") }, "rights"],
      ["make a node", create("/api/v1/nodes", { metadata: { name: "made" } }), "rights"],
      [
        "make a volume of another driver",
        create(volumesPath, volume("other.example.com")),
        "policy",
      ],
      [
        "make a volume that is a folder",
        create(volumesPath, volume("", { csi: undefined, hostPath: { path: "/" } })),
        "policy",
      ],
      [
        "lend a secret of another namespace",
        create(
          volumesPath,
          volume("csi.ballast.dev", {
            csi: {
              driver: "csi.ballast.dev",
              volumeHandle: "pvc-1",
              readOnly: true,
              nodePublishSecretRef: { name: "top", namespace: "kube-system" },
            },
          }),
        ),
        "policy",
      ],
      [
        "make a volume for nobody",
        create(volumesPath, volume("csi.ballast.dev", { claimRef: undefined })),
        "policy",
      ],
      [
        "delete a volume of another driver",
        { method: "DELETE", path: `${volumesPath}/foreign` },
        "policy",
      ],
      ["change a volume", { method: "PATCH", path: `${volumesPath}/foreign`, body: {} }, "rights"],
      ["change a claim", { method: "PATCH", path: `${claimsPath}/c`, body: {} }, "rights"],
      [
        "read a secret",
        { method: "GET", path: "/api/v1/namespaces/default/secrets/login" },
        "rights",
      ],
      ["list secrets", { method: "GET", path: "/api/v1/secrets" }, "rights"],
      ["read pods", { method: "GET", path: "/api/v1/pods" }, "rights"],
      ["make a pod", create(podsPath, { metadata: { name: "p" } }), "rights"],
      [
        "write a reporter's Lease",
        { method: "PUT", path: `${leasesPath}/reporter.plain`, body: {} },
        "rights",
      ],
      [
        "read Leases elsewhere",
        { method: "GET", path: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases" },
        "rights",
      ],
      ["read Events", { method: "GET", path: "/api/v1/events" }, "rights"],
    ];
    const answers: [string, string][] = [];
    for (const [what, request] of refused) answers.push([what, await attempt(request)]);
    expect(answers).toEqual(refused.map(([what, , by]) => [what, by]));
    expect(await attempt(create(volumesPath, volume("csi.ballast.dev")))).toBe("nothing");
    expect(await attempt({ method: "DELETE", path: `${volumesPath}/pvc-1` })).toBe("nothing");
    await remove(`${volumesPath}/foreign`);
  });

  test("a claim is bound, its pod is scheduled on a plain node, and the volume goes with the claim", async () => {
    await claim("weights", "llama");
    await expect.poll(() => phaseOf("weights"), eventually).toBe("Bound");
    const { metadata, spec } = await volumeOf("weights");
    expect(spec).toMatchObject({
      accessModes: ["ReadOnlyMany"],
      capacity: { storage: "20Gi" },
      persistentVolumeReclaimPolicy: "Delete",
      csi: {
        driver: "csi.ballast.dev",
        readOnly: true,
        volumeHandle: metadata.name,
        volumeAttributes: { reference, warm: "true" },
        nodePublishSecretRef: { name: "login", namespace: "default" },
      },
    });
    await runPod("weights");
    await expect.poll(() => nodeOf("weights"), eventually).toBeDefined();
    await expect
      .poll(async () => (await eventsOf("weights")).map(({ reason }) => reason), eventually)
      .toEqual(["ProvisioningSucceeded"]);
    await remove(`${podsPath}/weights`);
    await remove(`${claimsPath}/weights`);
    await expect.poll(volumes, eventually).not.toContain(metadata.name);
  });

  test("a claim that waits for its first pod gets its volume when there is one", async () => {
    await claim("later", "late");
    await claim("sooner", "llama");
    await expect.poll(() => phaseOf("sooner"), eventually).toBe("Bound");
    expect(await phaseOf("later")).toBe("Pending");
    await runPod("later");
    await expect.poll(() => nodeOf("later"), eventually).toBeDefined();
    expect(await phaseOf("later")).toBe("Bound");
  });

  test("a volume of a class that retains stays", async () => {
    await claim("kept", "kept");
    await expect.poll(() => phaseOf("kept"), eventually).toBe("Bound");
    const { metadata } = await volumeOf("kept");
    await claim("gone", "llama");
    await expect.poll(() => phaseOf("gone"), eventually).toBe("Bound");
    const other = await volumeOf("gone");
    await remove(`${claimsPath}/kept`);
    await remove(`${claimsPath}/gone`);
    await expect.poll(volumes, eventually).not.toContain(other.metadata.name);
    expect(await volumes()).toContain(metadata.name);
  });

  test("a claim that cannot be served says why in one Event, and is served once it can be", async () => {
    await claim("broken", "broken");
    await claim("asks", "asked");
    const told = async (name: string) => (await eventsOf(name)).map(({ message }) => message);
    await expect
      .poll(() => told("broken"), eventually)
      .toEqual([expect.stringContaining("registry.example.com/broken:v1:v2")]);
    await expect
      .poll(() => told("asks"), eventually)
      .toEqual([expect.stringContaining("ballast.dev/reference")]);
    const annotate = (text: string) =>
      plane.api.call({
        method: "PATCH",
        path: `${claimsPath}/asks`,
        body: { metadata: { annotations: { "ballast.dev/reference": text } } },
      });
    await annotate("oci:/etc");
    await expect
      .poll(() => told("asks"), eventually)
      .toEqual([expect.stringContaining("oci:/etc")]);
    await annotate(reference);
    await expect.poll(() => phaseOf("asks"), eventually).toBe("Bound");
    expect((await volumeOf("asks")).spec.csi?.volumeAttributes).toEqual({ reference });
  });

  test("a node whose reporter is silent loses its labels; years of its clock do not matter", async () => {
    for (const node of ["dead", "living", "alone"]) await label(node);
    // One clock is far ahead, the other far behind.
    await renew("dead", new Date("2199-01-01T00:00:00Z"));
    const start = performance.now();
    const stop = new AbortController();
    const living = (async () => {
      for (let n = 0; !stop.signal.aborted; n++) {
        await renew("living", new Date(Date.parse("1999-01-01T00:00:00Z") + n));
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    })();
    try {
      await expect.poll(() => modelLabels("dead"), eventually).toEqual([]);
      expect(performance.now() - start).toBeGreaterThan(staleSeconds * 1000);
      // It has no reporter at all.
      await expect.poll(() => modelLabels("alone"), eventually).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 2 * staleSeconds * 1000));
      expect(await modelLabels("living")).toEqual([warmKey]);
      // A reporter that is back may say again what is there.
      await label("dead");
      await renew("dead", new Date("2199-01-01T00:00:01Z"));
      expect(await modelLabels("dead")).toEqual([warmKey]);
      await remove(nodePath("dead"));
      const lease = `${leasesPath}/${reporterLeaseName("dead")}`;
      const isThere = () =>
        get(lease).then(
          () => true,
          () => false,
        );
      await expect.poll(isThere, eventually).toBe(false);
    } finally {
      stop.abort();
      await living;
    }
    await expect.poll(() => modelLabels("living"), eventually).toEqual([]);
    expect((await get<Node>(nodePath("living"))).metadata.labels).toHaveProperty([
      "kubernetes.io/hostname",
    ]);
  });

  test("goes on after a restart of the API server", async () => {
    await plane.restartApiServer({ downMs: 3000 });
    await claim("after-restart", "llama");
    await expect.poll(() => phaseOf("after-restart"), eventually).toBe("Bound");
    await label("plain");
    await expect.poll(() => modelLabels("plain"), eventually).toEqual([]);
    expect(controllers.filter(leads).length).toBeLessThan(2);
  });

  test("goes on when the one that leads is killed", async () => {
    await expect.poll(() => controllers.filter(leads).length, eventually).toBe(1);
    const [first] = controllers.filter(leads);
    await first?.kill();
    await claim("after-kill", "llama");
    await label("plain");
    await expect.poll(() => phaseOf("after-kill"), eventually).toBe("Bound");
    await expect.poll(() => modelLabels("plain"), eventually).toEqual([]);
    // Ended in order, the next one need not wait.
    const [second] = controllers.filter((each) => each !== first && leads(each));
    await startController();
    if (second === undefined) throw new Error("nobody leads");
    process.kill(second.pid, "SIGTERM");
    await second.ended;
    await claim("after-end", "llama");
    await expect.poll(() => phaseOf("after-end"), { timeout: 10_000 }).toBe("Bound");
  });
});
