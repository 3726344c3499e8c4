import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { listAll } from "../../src/kubernetes/api/list.ts";
import type { ApiObject } from "../../src/kubernetes/api/objects.ts";
import {
  defaultNamespace,
  driverName,
  labelKey,
  reporterLeaseName,
} from "../../src/kubernetes/names.ts";
import { chart } from "../support/chart.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { type HookRunner, startHookRunner } from "../support/hook-runner.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";

const missing = toolsMissing(...controlPlaneTools);
const namespace = defaultNamespace;
const label = labelKey(digestOf("a model"));

describe.skipIf(missing)("helm uninstall", () => {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;
  let runner: HookRunner;

  beforeAll(async () => {
    const folder = stack.use(await makeTemporaryFolder());
    plane = stack.use(await startControlPlane({ folder: join(folder.path, "plane") }));
    await plane.addNode("a", { labels: { "kubernetes.io/os": "linux" } });
    await plane.addNode("b", { labels: { "kubernetes.io/os": "linux" } });
    await plane.helm(["install", "ballast", chart, "-n", namespace, "--create-namespace"]);
    runner = stack.use(startHookRunner(plane, { namespace, home: folder.path }));
    await leaveTraces(plane);
  });

  afterAll(() => stack.disposeAsync());

  const uninstall = () => plane.helm(["uninstall", "ballast", "-n", namespace, "--timeout=2m"]);
  const lastRun = (job: string) => runner.runs.findLast((run) => run.job === job);

  test("refuses while a pod has a volume, by a claim too, and names the pods", async () => {
    await plane.apply(usersOfVolumes);
    await expect(uninstall()).rejects.toThrow(/ballast-uninstall-check/);
    const { code, out, err } = lastRun("ballast-uninstall-check") ?? {};
    expect(code).toBe(7);
    expect(out).toContain("default/inline on a");
    expect(out).toContain("default/claiming on no node yet");
    expect(out).not.toContain("default/other");
    expect(out?.match(/^default\//gm)).toHaveLength(20);
    expect(out).toContain("\nand 7 more\n");
    expect(out).toContain("1 PersistentVolume of csi.ballast.dev will stay");
    expect(err).toMatch(/^ballast: MODEL_IN_USE: 27 pods/);
    expect(await plane.kubectl(["get", "nodes", "-l", label, "-o", "name"])).toContain("node/a");
    await plane.kubectl(["delete", "pod", "--all", "--force", "--grace-period=0"]);
  });

  test("removes labels, Leases, NodeModels and what the webhook made, and itself", async () => {
    await uninstall();
    expect(lastRun("ballast-uninstall-check")).toMatchObject({ code: 0 });
    expect(lastRun("ballast-uninstall-clean")).toMatchObject({ code: 0, err: "" });
    expect(await plane.kubectl(["get", "nodes", "-l", label, "-o", "name"])).toBe("");
    expect(await plane.kubectl(["get", "nodes", "-l", "owner=somebody", "-o", "name"])).toBe(
      "node/b\n",
    );
    expect(await remains(plane)).toEqual([]);
    expect(
      await plane.kubectl(["-n", namespace, "get", "lease", "of-somebody-else", "-o", "name"]),
    ).toContain("of-somebody-else");
  });

  test("goes on with uninstall.force, and names the pods all the same", async () => {
    const force = ["--set", "uninstall.force=true"];
    await plane.helm(["install", "ballast", chart, "-n", namespace, ...force]);
    await plane.apply(usersOfVolumes);
    await uninstall();
    const { code, out } = lastRun("ballast-uninstall-check") ?? {};
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("default/inline on a") });
  });
});

/** What the parts write while they run. */
async function leaveTraces(plane: ControlPlane): Promise<void> {
  await plane.kubectl(["wait", "--for=condition=Established", "crd/nodemodels.ballast.dev"]);
  const lease = (name: string) => ({
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name, namespace },
    spec: { holderIdentity: "x" },
  });
  const items = [
    { apiVersion: "ballast.dev/v1alpha1", kind: "NodeModels", metadata: { name: "a" } },
    { apiVersion: "ballast.dev/v1alpha1", kind: "NodeModels", metadata: { name: "long-gone" } },
    lease(reporterLeaseName("a")),
    lease("ballast-controller"),
    lease("of-somebody-else"),
    ...["Secret ballast-webhook-certificate", "ConfigMap ballast-webhook-pins"].map((each) => {
      const [kind, name] = each.split(" ");
      return { apiVersion: "v1", kind, metadata: { name, namespace } };
    }),
  ];
  await plane.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const patch = (labels: object) => ({ metadata: { labels } });
  const body = patch({ [label]: "ready", [`${label.slice(0, -1)}x`]: "ready" });
  await plane.api.call({ method: "PATCH", path: "/api/v1/nodes/a", body });
  await plane.api.call({
    method: "PATCH",
    path: "/api/v1/nodes/b",
    body: patch({ [label]: "ready", owner: "somebody" }),
  });
}

/** Names of all that is left of the installation. */
async function remains({ api }: ControlPlane): Promise<string[]> {
  const home = (group: string) => `${group}/namespaces/${namespace}`;
  const policies = "/apis/admissionregistration.k8s.io/v1";
  const rights = "/apis/rbac.authorization.k8s.io/v1";
  const paths = [
    ...["daemonsets", "deployments"].map((kind) => `${home("/apis/apps/v1")}/${kind}`),
    ...["secrets", "configmaps", "serviceaccounts", "services", "pods"].map(
      (kind) => `${home("/api/v1")}/${kind}`,
    ),
    `${home("/apis/batch/v1")}/jobs`,
    `${home("/apis/coordination.k8s.io/v1")}/leases`,
    `${home(rights)}/roles`,
    `${home(rights)}/rolebindings`,
    `${rights}/clusterroles`,
    `${rights}/clusterrolebindings`,
    "/apis/storage.k8s.io/v1/csidrivers",
    ...[
      "mutatingwebhookconfigurations",
      "validatingadmissionpolicies",
      "validatingadmissionpolicybindings",
      "mutatingadmissionpolicies",
      "mutatingadmissionpolicybindings",
    ].map((kind) => `${policies}/${kind}`),
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
  ];
  const all = await Promise.all(
    paths.map(async (path) => (await listAll<ApiObject>(api, { path })).items),
  );
  const names = all.flat().map(({ metadata }) => metadata.name ?? "");
  const models = await listAll<ApiObject>(api, {
    path: "/apis/ballast.dev/v1alpha1/nodemodels",
  }).catch(() => ({ items: [] }));
  return [
    ...names.filter((name) => /ballast|^reporter\./.test(name)),
    ...models.items.map(({ metadata }) => `NodeModels ${metadata.name}`),
  ];
}

const containers = [{ name: "main", image: "none" }];
const podOf = (name: string, spec: object) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { containers, ...spec },
});
const csi = { driver: driverName, volumeAttributes: { reference: "registry.example.com/a:v1" } };

const usersOfVolumes = JSON.stringify({
  apiVersion: "v1",
  kind: "List",
  items: [
    podOf("inline", { nodeName: "a", volumes: [{ name: "m", csi }] }),
    podOf("claiming", {
      volumes: [{ name: "m", persistentVolumeClaim: { claimName: "model" } }],
      nodeSelector: { nowhere: "true" },
    }),
    ...Array.from({ length: 25 }, (_, at) =>
      podOf(`one-of-many-${at}`, { nodeName: "b", volumes: [{ name: "m", csi }] }),
    ),
    podOf("other", { volumes: [{ name: "m", emptyDir: {} }] }),
    {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name: "of-ballast" },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadOnlyMany"],
        csi: { ...csi, volumeHandle: "x" },
        claimRef: { namespace: "default", name: "model" },
        storageClassName: "",
      },
    },
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "model", namespace: "default" },
      spec: {
        accessModes: ["ReadOnlyMany"],
        resources: { requests: { storage: "1Gi" } },
        storageClassName: "",
        volumeName: "of-ballast",
      },
    },
  ],
});
