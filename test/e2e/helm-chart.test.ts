import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chart } from "../support/chart.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { judge } from "../support/judge.ts";
import {
  containersOf,
  findObject,
  type Manifest,
  parseManifests,
  podOf,
  render,
  volumeOf,
} from "../support/manifests.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";

const space = "ballast-system";
const nodes = ["one", "two"];
const missing = toolsMissing("kustomize", ...controlPlaneTools);

/** A control plane with plain nodes, until the tests of a `describe` are over. */
function useControlPlane(): () => ControlPlane {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;
  beforeAll(async () => {
    const { path } = stack.use(await makeTemporaryFolder());
    plane = stack.use(await startControlPlane({ folder: path }));
    for (const node of nodes)
      await plane.addNode(node, { labels: { "kubernetes.io/os": "linux" } });
  });
  afterAll(() => stack.disposeAsync());
  return () => plane;
}

describe.skipIf(missing)("helm install", () => {
  const plane = useControlPlane();
  const helm = (verb: string, ...flags: readonly string[]) =>
    plane().helm([verb, "ballast", chart, `--namespace=${space}`, ...flags]);
  const read = async (...what: readonly string[]): Promise<Manifest> =>
    JSON.parse(await plane().kubectl(["get", ...what, `--namespace=${space}`, "--output=json"]));
  let notes: string;

  beforeAll(async () => {
    notes = await helm(
      "install",
      "--create-namespace",
      "--set=image.repository=models.example.com/b",
    );
  });

  test("puts a pod of the agent and of the plugin on every node", async () => {
    for (const component of ["agent", "csi"]) {
      const places = async () => {
        const pods = await read("pods", `--selector=app.kubernetes.io/component=${component}`);
        return pods["items"].map(({ spec }: Manifest) => spec.nodeName ?? "-").toSorted();
      };
      await expect.poll(places, { timeout: 60_000 }).toEqual(nodes);
    }
  });

  test("gives neither of them a Kubernetes token", async () => {
    const pods = await read("pods", "--selector=app.kubernetes.io/component in (agent, csi)");
    expect(pods["items"]).toHaveLength(2 * nodes.length);
    const sources = pods["items"].flatMap(({ spec }: Manifest) =>
      spec.volumes.flatMap(({ projected }: Manifest) => projected ?? []),
    );
    expect(sources).toEqual([]);
  });

  test("names the image that was asked for, at the chart's version, everywhere", async () => {
    const sets = await read("daemonsets,deployments");
    const images = sets["items"].flatMap((set: Manifest) =>
      containersOf(podOf(set)).map(({ image }) => image),
    );
    expect(new Set(images)).toEqual(new Set(["models.example.com/b:v0.1.0"]));
  });

  test("names the command by which privileged pods are let in, until it was run", async () => {
    const [line = ""] = /kubectl label .*/.exec(notes) ?? [];
    const [, ...args] = line.split(" ");
    await plane().kubectl(args);
    const { metadata } = await read("namespace", space);
    expect(metadata.labels["pod-security.kubernetes.io/enforce"]).toBe("privileged");
    expect(await helm("upgrade", "--reuse-values")).not.toContain("kubectl label");
  });

  test("refuses a value that is not there, and says where", async () => {
    await expect(helm("upgrade", "--set=agnet.config.registries.allow={x}")).rejects.toThrow(
      /additional properties 'agnet' not allowed/,
    );
    await expect(helm("upgrade", "--set=agent.config.registries.alow={x}")).rejects.toThrow(
      /\/agent\/config\/registries.*'alow' not allowed/,
    );
    await expect(helm("upgrade", "--set=csi.privilege=none")).rejects.toThrow(
      /\/csi\/privilege.*must be one of 'privileged', 'capabilities'/,
    );
    await expect(helm("upgrade", "--set=kubeletRoot=var/lib/kubelet")).rejects.toThrow(
      /\/kubeletRoot.*does not match/,
    );
  });

  test("is upgraded with other values: the agents roll, the CSIDriver is the same one", async () => {
    const driver = await read("csidriver", "csi.ballast.dev");
    const before = await read("daemonset", "ballast-agent");
    const plugin = await read("daemonset", "ballast-csi");
    await helm(
      "upgrade",
      "--reuse-values",
      "--set=agent.config.registries.allow={models.example.com}",
    );
    expect((await read("csidriver", "csi.ballast.dev"))["metadata"].uid).toBe(
      driver["metadata"].uid,
    );
    const after = await read("daemonset", "ballast-agent");
    expect(after["metadata"].generation).toBeGreaterThan(before["metadata"].generation);
    const same = await read("daemonset", "ballast-csi");
    expect(same["metadata"].generation).toBe(plugin["metadata"].generation);
    const config = await read("configmap", "ballast-agent");
    expect(config["data"]["agent.yaml"]).toContain("models.example.com");
  });

  test("goes back to what was there before, and the CSIDriver is the same one", async () => {
    const driver = await read("csidriver", "csi.ballast.dev");
    await plane().helm(["rollback", "ballast", "1", `--namespace=${space}`]);
    const config = await read("configmap", "ballast-agent");
    expect(config["data"]["agent.yaml"]).toContain("registry.example.com");
    expect((await read("csidriver", "csi.ballast.dev"))["metadata"].uid).toBe(
      driver["metadata"].uid,
    );
  });

  test("says which custom resource is not there when metrics ask for one, and takes it when it is", async () => {
    const flags = ["--reuse-values", "--set=metrics.podMonitor.enabled=true"];
    await expect(helm("upgrade", ...flags)).rejects.toThrow(/PodMonitor/);
    await plane().apply(openCustomResource("PodMonitor"));
    await plane().apply(openCustomResource("PrometheusRule"));
    await plane().kubectl(["wait", "--for=condition=Established", "crd", "--all"]);
    const all = ["prometheusRule", "dashboard"].map((part) => `--set=metrics.${part}.enabled=true`);
    await helm("upgrade", ...flags, ...all);
    expect((await read("podmonitor", "ballast"))["spec"].podMetricsEndpoints).toHaveLength(1);
    const [group] = (await read("prometheusrule", "ballast"))["spec"].groups;
    expect(group.rules.length).toBeGreaterThan(5);
    const dashboard = await read("configmap", "ballast-dashboard");
    expect(JSON.parse(dashboard["data"]["ballast.json"]).panels.length).toBeGreaterThan(5);
  });
});

describe.skipIf(missing)("helm template", () => {
  const plane = useControlPlane();

  test.each([
    ["no other values", []],
    ["another kubelet root", ["kubeletRoot=/var/snap/kubelet", "storePath=/data/models"]],
    [
      "everything off that can be",
      [
        "reporter.enabled=false",
        "controller.enabled=false",
        "webhook.enabled=false",
        "networkPolicy.enabled=false",
        "nodes.priorityClassName=",
        "nodes.nodeSelector=null",
        "nodes.tolerations=null",
      ],
    ],
    [
      "everything on that any cluster has",
      [
        "image.pullSecrets[0].name=login",
        `image.digest=sha256:${"0".repeat(64)}`,
        "nodes.criticalPodsQuota=2000",
        "nodes.maxUnavailable=1",
        "agent.logins.dockerConfigJson=\\{\\}",
        "agent.authorities.certificates.corp\\.pem=TEXT",
        "agent.env.HTTPS_PROXY=http://proxy.example.com:3128",
        "agent.seLinuxOptions.level=s0",
        "agent.podAnnotations.a=b",
        "csi.podAnnotations.a=b",
        "agent.config.transfer.connections=32",
        "networkPolicy.agentEgress[0].ports[0].port=443",
        "metrics.dashboard.enabled=true",
      ],
    ],
    ["a plugin without privilege", ["csi.privilege=capabilities", "csi.seLinuxOptions.type=spc_t"]],
  ])("gives what an API server takes without a word: %s", async (_, values) => {
    expect(await judge(plane(), await template(...values))).toEqual([]);
  });

  test("puts every path of the kubelet below the one that was given", async () => {
    const yaml = await template("kubeletRoot=/var/snap/kubelet");
    const roots = new Set(
      yaml.replaceAll("unix://", "").match(/\/[\w/]*(?=\/(?:plugins|pods)\b)/g),
    );
    expect(roots).toEqual(new Set(["/var/snap/kubelet"]));
    expect(yaml).toContain("--kubelet-root=/var/snap/kubelet\n");
  });

  test("runs every part of a node on the same nodes, and with the same login for its image", async () => {
    const values = [
      "image.pullSecrets[0].name=login",
      "nodes.nodeSelector.gpu=yes",
      "nodes.tolerations[0].key=gpu",
      "nodes.tolerations[0].operator=Exists",
      "nodes.affinity.nodeAffinity.a=b",
      "nodes.priorityClassName=high",
      "nodes.maxUnavailable=2",
    ];
    const objects = parseManifests(await template(...values));
    const sets = objects.filter(({ kind }) => kind === "DaemonSet");
    const found = sets.map((set) => {
      const { nodeSelector, tolerations, affinity, priorityClassName, imagePullSecrets } =
        podOf(set);
      const { updateStrategy } = set["spec"];
      const placement = { nodeSelector, tolerations, affinity, priorityClassName };
      return { ...placement, imagePullSecrets, updateStrategy };
    });
    expect(found.length).toBeGreaterThanOrEqual(2);
    const expected = {
      nodeSelector: { "kubernetes.io/os": "linux", gpu: "yes" },
      tolerations: [{ key: "gpu", operator: "Exists" }],
      affinity: { nodeAffinity: { a: "b" } },
      priorityClassName: "high",
      imagePullSecrets: [{ name: "login" }],
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 2, maxSurge: 0 } },
    };
    expect(found).toEqual(found.map(() => expected));
  });

  test("binds each account to a constraint where OpenShift is meant", async () => {
    const objects = parseManifests(await template("openshift.enabled=true"));
    const { users } = findObject(objects, "SecurityContextConstraints", "ballast-node");
    expect(users).toContain(`system:serviceaccount:${space}:ballast-agent`);
    const { roleRef } = findObject(objects, "RoleBinding", "ballast-csi-constraint");
    expect(roleRef.name).toBe("system:openshift:scc:privileged");
  });

  test("lets callers reach the ports that a part serves, no other, and has its metrics found", async () => {
    const objects = parseManifests(await template());
    const parts = objects
      .filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")
      .map((set) => ({
        name: set["metadata"].name,
        ports: containersOf(podOf(set)).flatMap(({ ports = [] }) => ports),
      }))
      .filter(({ ports }) => ports.length > 0);
    const found = parts.map(({ name, ports }) => ({
      name,
      open: findObject(objects, "NetworkPolicy", name)["spec"].ingress.flatMap((rule: Manifest) =>
        rule["ports"].map(({ port }: Manifest) => port),
      ),
      metrics: ports.some((port: Manifest) => port["name"] === "metrics"),
    }));
    const expected = parts.map(({ name, ports }) => ({
      name,
      open: ports.map(({ containerPort }: Manifest) => containerPort).toSorted(ascending),
      metrics: true,
    }));
    expect(found).toEqual(expected);
  });
});

describe.skipIf(missing)("kubectl apply", () => {
  const plane = useControlPlane();
  const apply = (yaml: string) => plane().kubectl(["apply", "-f", "-"], { input: yaml });

  test("of deploy/kustomize/default gives every node an agent, and that its agent.yaml", async () => {
    await apply(await render("deploy/kustomize/default"));
    const read = async (...what: readonly string[]): Promise<Manifest> =>
      JSON.parse(await plane().kubectl(["get", ...what, `--namespace=${space}`, "--output=json"]));
    const agents = async () =>
      (await read("pods", "--selector=app.kubernetes.io/component=agent"))["items"];
    const places = async () =>
      (await agents()).map(({ spec }: Manifest) => spec.nodeName ?? "-").toSorted();
    await expect.poll(places, { timeout: 60_000 }).toEqual(nodes);
    const [{ spec }] = await agents();
    const { name } = volumeOf(spec, "config")["configMap"];
    expect((await read("configmap", name))["data"]["agent.yaml"]).toContain("registries:");
  });

  test.each([
    ["deploy/kustomize/default", () => render("deploy/kustomize/default")],
    ["helm template", () => template()],
  ])("of %s changes nothing the second time", async (_, text) => {
    const yaml = await text();
    await apply(yaml);
    expect(await plane().kubectl(["diff", "-f", "-"], { input: yaml })).toBe("");
  });
});

/** The chart with the namespace and these values. */
async function template(...values: readonly string[]): Promise<string> {
  const set = ["namespace.create=true", ...values].map((value) => `--set=${value}`);
  const args = [
    "template",
    "ballast",
    chart,
    `--namespace=${space}`,
    "--no-hooks",
    "--include-crds",
  ];
  return (await promisify(execFile)(toolPath("helm"), [...args, ...set])).stdout;
}

/** A custom resource of the Prometheus operator's group, with any content. */
function openCustomResource(kind: string): string {
  const singular = kind.toLowerCase();
  const plural = `${singular}s`;
  const group = "monitoring.coreos.com";
  const schema = {
    openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  };
  return JSON.stringify({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, singular, plural, listKind: `${kind}List` },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  });
}

function ascending(one: number, other: number): number {
  return one - other;
}
