import { join } from "node:path";
import { defaultNamespace, driverName } from "../../../src/kubernetes/names.ts";
import { type ClusterNode, openClusterNode } from "../../support/cluster-node.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../../support/control-plane.ts";
import { type InstalledCluster, installCluster } from "../../support/installed-cluster.ts";
import { isInstalled } from "../../support/programs.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "../../support/workplace.ts";
import type { Bench } from "../bench.ts";
import { whyNoNode } from "../measure/node-rights.ts";
import { removeFolder } from "../remove-folder.ts";

/** A cluster with Ballast in it, one node, and a model in a registry. */
export interface ClusterPlace {
  readonly plane: ControlPlane;
  readonly cluster: InstalledCluster;
  readonly node: ClusterNode;
  /** Of a model of 64 MiB, by tag and by digest. */
  readonly references: { readonly tag: string; readonly digest: string };
  /** From `helm install` to the first pod that has its model, in seconds. */
  readonly firstMountSeconds: number;
}

const nodeName = "bench-node";
const pollMs = 50;

/** Why no cluster can be run here; undefined where it can. */
export function whyNoCluster(): string | undefined {
  const missing = controlPlaneTools.filter((name) => !isInstalled(name));
  if (missing.length > 0) return `needs node test/tools/install.ts ${missing.join(" ")}`;
  return whyNoNode();
}

/** Starts a control plane, installs the chart and runs one pod. */
export async function prepareCluster(
  bench: Bench,
  resources: AsyncDisposableStack,
): Promise<ClusterPlace> {
  const folder = join(bench.workspace.fast, "cluster");
  resources.defer(() => removeFolder(folder));
  const place: Workplace = resources.use(await openWorkplace());
  const source = await place.write("model", { "weights.bin": seededBytes("a", 64 * mebi) });
  const { digest } = await place.push(source, "team/model:v1");
  const tag = place.ref("team/model:v1");
  bench.print("starting a control plane and installing the chart");
  const plane = resources.use(await startControlPlane({ folder }));
  const { program } = bench.ballast;
  const started = performance.now();
  const cluster = resources.use(
    await installCluster({ plane, program, webhookFlags: ["--affinity-min-bytes=1MiB"] }),
  );
  const programs = { ballast: program, plugin: join(program, "../ballast-csi") };
  const reporterFlags = ["--label-min-bytes=1MiB"];
  const node = resources.use(
    await openClusterNode({
      plane,
      namespace: defaultNamespace,
      name: nodeName,
      programs,
      reporterFlags,
    }),
  );
  await plane.apply(describePod("first", tag));
  while (!node.pods.mounted.has("default/first")) {
    bench.signal.throwIfAborted();
    if (node.pods.failures[0] !== undefined) throw new Error(node.pods.failures[0]);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  const firstMountSeconds = (performance.now() - started) / 1000;
  const references = { tag, digest: `${tag.replace(/:v1$/, "")}@${digest}` };
  return { plane, cluster, node, references, firstMountSeconds };
}

function describePod(name: string, reference: string): string {
  const csi = { driver: driverName, readOnly: true, volumeAttributes: { reference } };
  const mount = { name: "model", mountPath: "/models" };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      containers: [{ name: "main", image: "none", volumeMounts: [mount] }],
      volumes: [{ name: "model", csi }],
    },
  });
}
