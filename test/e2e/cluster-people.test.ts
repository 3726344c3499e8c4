import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { Diagnosis } from "../../src/kubernetes/cluster/doctor.ts";
import type { PodExplanation } from "../../src/kubernetes/cluster/explain.ts";
import type { ModelLocations } from "../../src/kubernetes/cluster/model-locations.ts";
import { driverName, labelKey } from "../../src/kubernetes/names.ts";
import type { NodeModel } from "../../src/kubernetes/node-models.ts";
import { runBallast } from "../support/ballast-command.ts";
import { installByHand } from "../support/cluster-installation.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";

const missing = toolsMissing(...controlPlaneTools);
const digest = digestOf("a model");
const label = labelKey(digest);
const reference = `registry.example.com/team/llama@${digest}`;

describe.skipIf(missing)("ballast cluster", () => {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;
  let home: string;

  beforeAll(async () => {
    const folder = stack.use(await makeTemporaryFolder());
    home = folder.path;
    plane = stack.use(await startControlPlane({ folder: join(home, "plane") }));
    for (const name of ["a", "b", "c"])
      await plane.addNode(name, { labels: { "kubernetes.io/os": "linux" } });
  });

  afterAll(() => stack.disposeAsync());

  const ballast = (args: readonly string[], kubeconfig = plane.kubeconfig) =>
    runBallast(["cluster", ...args], { home, env: { KUBECONFIG: kubeconfig } });

  async function ask<T>(args: readonly string[], kubeconfig?: string): Promise<T> {
    const { code, out, err } = await ballast([...args, "--json"], kubeconfig);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    return JSON.parse(out) as T;
  }

  async function explain(pod: object, events: readonly object[] = []): Promise<PodExplanation> {
    await plane.apply(JSON.stringify({ apiVersion: "v1", kind: "List", items: [pod, ...events] }));
    const name = String(Reflect.get(Reflect.get(pod, "metadata") as object, "name"));
    return ask<PodExplanation>(["explain", "pod", `default/${name}`]);
  }

  const textOf = ({ sentences }: PodExplanation) => sentences.map(({ text }) => text).join("\n");

  async function report(node: string, models: readonly NodeModel[]): Promise<void> {
    const status = { reportedAt: new Date().toISOString(), agentReady: true, models };
    const path = `/apis/ballast.dev/v1alpha1/nodemodels/${node}/status`;
    await plane.api.call({ method: "PATCH", path, body: { status } });
  }

  test("doctor names all that an empty cluster lacks, with the fix for each", async () => {
    const { code, out, err } = await ballast(["doctor"]);
    expect(code).toBe(6);
    expect(err).toMatch(/^ballast: VERIFY_FAILED: the cluster at .* fails \d+ checks/);
    for (const lacking of [
      "there is no namespace ballast-system",
      "there is no CRD nodemodels.ballast.dev",
      "there is no CSIDriver csi.ballast.dev",
      "there is no DaemonSet ballast-agent",
      "there is no DaemonSet ballast-csi",
      "there is no DaemonSet ballast-reporter",
      "there is no Deployment ballast-controller",
      "there is no Deployment ballast-webhook",
      "no ValidatingAdmissionPolicy confines what the reporter and the controller and the webhook may change",
      "pods with models cannot start on a, b, c",
    ])
      expect(out).toContain(lacking);
    expect(out.match(/fix: /g)?.length).toBe(out.match(/^(?:FAILED|warning|unknown) /gm)?.length);
  });

  test("locate says what to install where there is no CRD", async () => {
    const { code, err } = await ballast(["locate", reference]);
    expect(code).toBe(3);
    expect(err).toMatch(/^ballast: NOT_FOUND: the cluster at .* has no NodeModels/);
    expect(err).toContain("helm install ballast");
  });

  test("doctor finds nothing wrong with an installation that is well", async () => {
    await installByHand(plane, ["a", "b", "c"]);
    const { findings, counts } = await ask<Diagnosis>(["doctor"]);
    expect(findings.filter(({ status }) => status !== "ok")).toEqual([]);
    expect(counts.ok).toBeGreaterThan(12);
    const { out } = await ballast(["doctor"]);
    expect(out).toContain("0 failures, 0 warnings, 0 unknown");
  });

  test("doctor works with the rights of anybody, and says what it could not see", async () => {
    const anybody = await plane.kubeconfigFor("default", "default");
    const { counts, findings } = await ask<Diagnosis>(["doctor"], anybody);
    expect(counts).toMatchObject({ failed: 0, ok: 1, warning: 0 });
    expect(findings.filter(({ status }) => status === "unknown").length).toBeGreaterThan(7);
    const { code, err } = await ballast(["locate", reference], anybody);
    expect(code).toBe(4);
    expect(err).toContain("kubectl create clusterrole");
    const explained = await ballast(["explain", "pod", "default/x"], anybody);
    expect(explained).toMatchObject({ code: 4, err: expect.stringContaining("rolebinding") });
  });

  test("locate says where a model is, and answers with code 0 where it is nowhere", async () => {
    const nowhere = await ballast(["locate", reference]);
    expect(nowhere).toMatchObject({ code: 0, err: "" });
    expect(nowhere.out).toContain("no node has it: 3 of 3 nodes report, and none has a byte of it");
    expect(nowhere.out).toContain("next: a pod that mounts it brings it to its node");
    await report("b", [{ digest, state: "ready", bytes: 1000, mounts: 1 }]);
    await report("a", [
      { digest, state: "pulling", bytes: 430, totalBytes: 1000, bytesPerSecond: 2_000_000_000 },
    ]);
    await plane.kubectl(["label", "node", "b", `${label}=ready`]);
    const found = await ask<ModelLocations>(["locate", reference]);
    expect(found.nodes).toMatchObject([
      {
        node: "b",
        state: "ready",
        labelled: true,
        nodeReady: true,
        reporterAlive: true,
        mounts: 1,
      },
      { node: "a", state: "pulling", bytes: 430, totalBytes: 1000, labelled: false },
    ]);
    expect(found.counts).toEqual({ warm: 1, pulling: 1, other: 0, without: 1, silent: 0 });
    const { out } = await ballast(["locate", reference]);
    expect(out).toMatch(
      /^NODE .*\nb +ready +1000 B .* yes +ready +1\na +pulling +430 B of 1000 B +1\.9 GiB\/s/,
    );
    expect(out).toContain("1 of 3 nodes has all of it, 1 is fetching it, 1 has nothing of it");
  });

  test("explains a pod that waits for a model that is pulled", async () => {
    const told = await explain(podOf("waits", { nodeName: "a" }), [
      eventOf(
        "waits",
        `rpc error: code = Aborted desc = pulling ${reference}: 43 % (61 of 140 GiB)`,
      ),
    ]);
    expect(told).toMatchObject({
      node: "a",
      phase: "Pending",
      models: [{ here: { state: "pulling" } }],
    });
    expect(textOf(told)).toContain("a is fetching it and has 43 %");
    expect(textOf(told)).toContain(`Volume m waits for its model: pulling ${reference}: 43 %`);
    expect(told.next).toBe("nothing: the pod starts when its model is here");
  });

  test("explains a pod that the scheduler put on the warm node", async () => {
    await plane.apply(JSON.stringify(podOf("warm", { affinity })));
    await plane.kubectl(["wait", "--for=condition=PodScheduled", "pod/warm"]);
    const told = await ask<PodExplanation>(["explain", "pod", "default/warm"]);
    expect(told.node).toBe("b");
    expect(textOf(told)).toContain("b has that label now, as the hint asks for");
    expect(textOf(told)).toContain("schedulers do not tell their scores");
    expect(textOf(told)).toContain("b has all of it");
  });

  test("explains a pod that the hint could not help", async () => {
    await plane.kubectl(["cordon", "b"]);
    await plane.apply(JSON.stringify(podOf("cold", { affinity })));
    await plane.kubectl(["wait", "--for=condition=PodScheduled", "pod/cold"]);
    const told = await ask<PodExplanation>(["explain", "pod", "default/cold"]);
    await plane.kubectl(["uncordon", "b"]);
    expect(told.node).not.toBe("b");
    expect(textOf(told)).toContain(
      "The label is on b now, where this pod cannot go: b is cordoned.",
    );
  });

  test("explains a pod that opted out, and one that a scheduler of another kind places", async () => {
    const out = podOf("out", { nodeName: "a" }, { "ballast.dev/locality": "off" });
    expect(textOf(await explain(out))).toContain("ballast.dev/locality is off");
    const kai = await explain(podOf("kai", { schedulerName: "kai-scheduler", affinity }));
    expect(kai).toMatchObject({ scheduler: "kai-scheduler", node: null });
    expect(textOf(kai)).toContain("KAI ignores preferred node affinity");
    expect(textOf(kai)).toContain("kai-scheduler has said nothing");
  });

  test("explains a pod whose secret is missing, with the command that makes it", async () => {
    const text =
      'fetching NodePublishSecretRef default/login failed: kubernetes.io/csi: failed to find the secret login in the namespace default with error: secrets "login" not found';
    const { next } = await explain(podOf("secretless", { nodeName: "a" }), [
      eventOf("secretless", text),
    ]);
    expect(next).toContain("kubectl -n default create secret docker-registry login");
  });

  test("explains a pod that waits for the volume of its claim", async () => {
    const storageClass = {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "models" },
      provisioner: driverName,
    };
    const claim = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "llama", namespace: "default" },
      spec: {
        accessModes: ["ReadOnlyMany"],
        storageClassName: "models",
        resources: { requests: { storage: "1Gi" } },
      },
    };
    const volumes = [{ name: "m", persistentVolumeClaim: { claimName: "llama" } }];
    const told = await explain(podOf("claims", { volumes }), [storageClass, claim]);
    expect(textOf(told)).toContain("no volume is bound to it");
    expect(told.next).toContain("describe pvc llama");
  });

  test("doctor says where pods wait, and for what", async () => {
    const { findings } = await ask<Diagnosis>(["doctor"]);
    const waiting = findings.filter(({ check }) => check === "waiting pods");
    expect(waiting).toHaveLength(1);
    expect(waiting[0]?.summary).toMatch(/^default: \d pods wait, \w+ since /);
  });

  test("a pod that is not there is no defect", async () => {
    const { code, err } = await ballast(["explain", "pod", "default/nobody"]);
    expect(code).toBe(3);
    expect(err).toContain("there is no pod default/nobody");
  });
});

const affinity = {
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 100, preference: { matchExpressions: [{ key: label, operator: "Exists" }] } },
    ],
  },
};

function podOf(name: string, spec: object, annotations: Record<string, string> = {}): object {
  const csi = { driver: driverName, readOnly: true, volumeAttributes: { reference } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", annotations },
    spec: {
      containers: [{ name: "main", image: "none" }],
      volumes: [{ name: "m", csi }],
      ...spec,
    },
  };
}

function eventOf(pod: string, text: string): object {
  const now = new Date().toISOString().slice(0, 19);
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `${pod}.x`, namespace: "default" },
    type: "Warning",
    reason: "FailedMount",
    message: `MountVolume.SetUp failed for volume "m" : ${text}`,
    involvedObject: { kind: "Pod", name: pod, namespace: "default" },
    lastTimestamp: `${now}Z`,
    count: 1,
  };
}
