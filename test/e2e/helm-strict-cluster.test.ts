import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chart } from "../support/chart.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import type { Manifest } from "../support/manifests.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";

const space = "ballast-system";
const critical = ["system-cluster-critical", "system-node-critical"];
// The controller of DaemonSets waits twice as long after each failure.
const patience = { timeout: 120_000, interval: 500 };

/** Of an API server that lets privileged pods, and critical ones, in only where somebody says so. */
const strictAdmission = {
  apiVersion: "apiserver.config.k8s.io/v1",
  kind: "AdmissionConfiguration",
  plugins: [
    {
      name: "PodSecurity",
      configuration: {
        apiVersion: "pod-security.admission.config.k8s.io/v1",
        kind: "PodSecurityConfiguration",
        defaults: { enforce: "baseline", "enforce-version": "latest" },
      },
    },
    {
      name: "ResourceQuota",
      configuration: {
        apiVersion: "apiserver.config.k8s.io/v1",
        kind: "ResourceQuotaConfiguration",
        limitedResources: [
          {
            resource: "pods",
            matchScopes: [{ scopeName: "PriorityClass", operator: "In", values: critical }],
          },
        ],
      },
    },
  ],
};

describe.skipIf(toolsMissing(...controlPlaneTools))("helm install on a strict cluster", () => {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;
  let notes: string;

  beforeAll(async () => {
    const { path } = stack.use(await makeTemporaryFolder());
    const file = join(path, "admission.json");
    await writeFile(file, JSON.stringify(strictAdmission));
    const apiServerFlags = [`--admission-control-config-file=${file}`];
    plane = stack.use(await startControlPlane({ folder: path, apiServerFlags }));
    await plane.addNode("one", { labels: { "kubernetes.io/os": "linux" } });
    notes = await helm("install", "--create-namespace");
  });
  afterAll(() => stack.disposeAsync());

  const helm = (verb: string, ...flags: readonly string[]) =>
    plane.helm([verb, "ballast", chart, `--namespace=${space}`, ...flags]);
  const list = async (kind: string): Promise<Manifest[]> =>
    JSON.parse(await plane.kubectl(["get", kind, `--namespace=${space}`, "--output=json"])).items;
  const refusals = async () => {
    const events = await list("events");
    const refused = events.filter(({ reason }) => reason === "FailedCreate");
    return refused.map(({ message }) => message).join("\n");
  };
  const componentsThatRun = async () => {
    const pods = (await list("pods")).filter(({ spec }) => spec.nodeName === "one");
    return pods.map(({ metadata }) => metadata.labels["app.kubernetes.io/component"]);
  };
  const componentsThatShould = async () =>
    (await list("daemonsets,deployments")).map(
      ({ metadata }) => metadata.labels["app.kubernetes.io/component"],
    );

  test("comes up with the command of its notes and a quota, and until then says what is missing", async () => {
    await expect.poll(refusals, patience).toContain('violates PodSecurity "baseline:latest"');
    expect(await componentsThatRun()).not.toContain("csi");
    const [, ...label] = /kubectl label .*/.exec(notes)?.[0].split(" ") ?? [];
    await plane.kubectl(label);
    await expect.poll(refusals, patience).toContain("insufficient quota to match these scopes");
    await helm("upgrade", "--reuse-values", "--set=nodes.criticalPodsQuota=10");
    await expect
      .poll(componentsThatRun, patience)
      .toEqual(expect.arrayContaining(await componentsThatShould()));
  });
});
