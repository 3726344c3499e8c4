import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ApiList, Node, Pod } from "../../src/kubernetes/api/objects.ts";
import { defaultNamespace, labelKey } from "../../src/kubernetes/names.ts";
import type { NodeModels } from "../../src/kubernetes/node-models.ts";
import { runBallast } from "../support/ballast-command.ts";
import { type ClusterNode, openClusterNode } from "../support/cluster-node.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { nothingLeft } from "../support/csi-scene.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { type InstalledCluster, installCluster } from "../support/installed-cluster.ts";
import { toolsMissing } from "../support/programs.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

const cannot = mountsMissing() || toolsMissing(...controlPlaneTools);
const soon = { timeout: 60_000, interval: 200 };
/** Reporters withdraw what an agent does not answer for after this. */
const graceSeconds = 5;
const bytes = 24 * mebi;

describe.skipIf(cannot)("a cluster", () => {
  const resources = new AsyncDisposableStack();
  let place: Workplace;
  let plane: ControlPlane;
  let cluster: InstalledCluster;
  let nodes: ClusterNode[];
  /** By tag. */
  let reference: string;
  let label: string;

  beforeAll(async () => {
    place = resources.use(await openWorkplace());
    reference = place.ref("team/model:v1");
    const source = await place.write("model", { "weights.bin": seededBytes("a", bytes) });
    const pushed = await place.push(source, "team/model:v1");
    label = labelKey(pushed.digest);
    plane = resources.use(await startControlPlane({ folder: join(place.path, "plane") }));
    cluster = resources.use(
      await installCluster({ plane, webhookFlags: ["--affinity-min-bytes=1MiB"] }),
    );
    nodes = [];
    for (const name of ["node-a", "node-b", "node-c"])
      nodes.push(
        resources.use(
          await openClusterNode({
            plane,
            name,
            namespace: defaultNamespace,
            reporterFlags: ["--label-min-bytes=1MiB", `--agent-grace=${graceSeconds}`],
          }),
        ),
      );
  });

  afterAll(() => resources.disposeAsync());

  const nodesWithLabel = async () => {
    const { items } = await plane.api.call<ApiList<Node>>({ method: "GET", path: "/api/v1/nodes" });
    const warm = (items ?? []).filter(({ metadata }) => metadata.labels?.[label] === "ready");
    return warm.map(({ metadata }) => metadata.name);
  };
  const podsOf = async (app: string) => {
    const path = "/api/v1/namespaces/default/pods";
    const query = { labelSelector: `app=${app}` };
    return (await plane.api.call<ApiList<Pod>>({ method: "GET", path, query })).items ?? [];
  };
  const running = async (app: string) =>
    (await podsOf(app)).flatMap(({ spec, status }) =>
      status?.phase === "Running" ? spec.nodeName : [],
    );
  const scale = (app: string, replicas: number) =>
    plane.kubectl(["scale", `deployment/${app}`, `--replicas=${replicas}`]);

  test("brings a model to where its first pod lands, and tells of it in a label and an object", async () => {
    await plane.apply(deployment("first", reference, 1));
    await expect.poll(() => running("first"), soon).toHaveLength(1);
    const [node] = await running("first");
    await expect.poll(nodesWithLabel, soon).toEqual([node]);
    const path = `/apis/ballast.dev/v1alpha1/nodemodels/${node}`;
    const shown = async () =>
      (await plane.api.call<NodeModels>({ method: "GET", path })).status?.models;
    await expect.poll(shown, soon).toEqual([expect.objectContaining({ state: "ready", bytes })]);
    const [pod] = await podsOf("first");
    const pinned = pod?.spec.volumes?.find(({ csi }) => csi !== undefined)?.csi?.volumeAttributes;
    expect(pinned?.["reference"]).toMatch(/@sha256:[0-9a-f]{64}$/);
    expect(await plane.kubectl(["get", "nodemodels"])).toMatch(new RegExp(`${node}`));
  });

  test("brings a scaled-down model back where it is, and moves no byte of it", async () => {
    const [before] = await running("first");
    await scale("first", 0);
    await expect.poll(() => podsOf("first"), soon).toEqual([]);
    place.requests.length = 0;
    await scale("first", 1);
    await expect.poll(() => running("first"), soon).toEqual([before]);
    expect(place.requests.filter((line) => line.includes("/blobs/"))).toEqual([]);
  });

  test("puts ten pods of ten on the warm one of equal nodes", async () => {
    const [warm] = await nodesWithLabel();
    await plane.apply(deployment("ten", reference, 10));
    await expect.poll(() => running("ten"), soon).toHaveLength(10);
    expect(new Set(await running("ten"))).toEqual(new Set([warm]));
    await scale("ten", 0);
    await expect.poll(() => podsOf("ten"), soon).toEqual([]);
  });

  test("sends pods elsewhere soon after a node's agent died, and mends that when it is back", async () => {
    const [warm] = await nodesWithLabel();
    const node = nodes.find(({ name }) => name === warm);
    if (node === undefined) throw new Error("no node is warm");
    await scale("first", 0);
    await expect.poll(() => podsOf("first"), soon).toEqual([]);
    const [other] = nodes.filter(({ name }) => name !== warm);
    if (other === undefined) throw new Error("there is one node only");
    await other.scene.admin().prefetch({ reference });
    await expect.poll(nodesWithLabel, soon).toHaveLength(2);
    await node.scene.agent.kill();
    await expect.poll(nodesWithLabel, soon).toEqual([other.name]);
    await scale("first", 1);
    await expect.poll(() => running("first"), soon).toEqual([other.name]);
    await node.scene.agent.start();
    await expect.poll(nodesWithLabel, soon).toHaveLength(2);
  });

  test("goes on without controller and webhook: pods are admitted, scheduled and mounted", async () => {
    await cluster.controller.kill();
    await cluster.webhook.kill();
    await plane.apply(deployment("alone", reference, 2));
    await expect.poll(() => running("alone"), soon).toHaveLength(2);
    await scale("alone", 0);
    await expect.poll(() => podsOf("alone"), soon).toEqual([]);
    await cluster.startController();
    await cluster.startWebhook();
  });

  test("answers who asks where a model is and why a pod runs where it runs", async () => {
    const ballast = async (...args: string[]) => {
      const flags = ["--kubeconfig", plane.kubeconfig];
      return runBallast(["cluster", ...args, ...flags], { home: place.path });
    };
    // Pods that started without a hint may have made other nodes warm, too.
    const [warm = ""] = await running("first");
    const located = await ballast("locate", reference);
    expect(located).toMatchObject({ code: 0, out: expect.stringContaining(warm) });
    const [pod] = await podsOf("first");
    const explained = await ballast("explain", "pod", `default/${pod?.metadata.name}`);
    // Not always the first of the warm ones: pods that came without a hint warmed another.
    const where = `${pod?.spec.nodeName} has all of it`;
    expect(explained).toMatchObject({ code: 0, out: expect.stringContaining(where) });
  });

  test("leaves no volume behind when all pods are gone", async () => {
    await scale("first", 0);
    await expect.poll(() => podsOf("first"), soon).toEqual([]);
    for (const { scene, pods } of nodes) {
      await expect.poll(() => scene.leftovers(), soon).toEqual(nothingLeft);
      expect(pods.failures).toEqual([]);
    }
  });
});

function deployment(app: string, reference: string, replicas: number): string {
  const csi = {
    driver: "csi.ballast.dev",
    readOnly: true,
    volumeAttributes: { reference },
  };
  const labels = { app };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: app, namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: "main",
              image: "none",
              volumeMounts: [{ name: "model", mountPath: "/models" }],
            },
          ],
          volumes: [{ name: "model", csi }],
        },
      },
    },
  });
}
