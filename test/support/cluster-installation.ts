import { listAll } from "../../src/kubernetes/api/list.ts";
import type { ApiObject } from "../../src/kubernetes/api/objects.ts";
import { defaultNamespace, driverName, reporterLeaseName } from "../../src/kubernetes/names.ts";
import { nodeModelsPath } from "../../src/kubernetes/node-models.ts";
import { applyTemplates } from "./chart.ts";
import { inBase64, testAuthority, testServing } from "./cluster-certificates.ts";
import type { ControlPlane } from "./control-plane.ts";

const namespace = defaultNamespace;
const labels = (role: string) => ({
  "app.kubernetes.io/name": "ballast",
  "app.kubernetes.io/component": role,
});

/** An installation that is well, with nothing behind it: its pods are said to be ready. */
export async function installByHand(plane: ControlPlane, nodes: readonly string[]): Promise<void> {
  await applyTemplates(plane, ["crd-nodemodels"]);
  await plane.apply(listOf([namespaceObject, ...accounts(), ...wideObjects()]));
  await plane.kubectl(["wait", "--for=condition=Established", "crd/nodemodels.ballast.dev"]);
  await plane.apply(listOf([...workloads(), ...nodes.flatMap(objectsOfNode)]));
  for (const name of nodes) {
    const status = { reportedAt: new Date().toISOString(), agentReady: true, models: [] };
    const path = `${nodeModelsPath}/${name}/status`;
    await plane.api.call({ method: "PATCH", path, body: { status } });
  }
  await waitUntilReady(plane);
}

function listOf(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

const namespaceObject = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: namespace, labels: { "pod-security.kubernetes.io/enforce": "privileged" } },
};

const roles = ["agent", "csi", "reporter", "controller", "webhook"];

function accounts(): object[] {
  const rules = [
    { apiGroups: [""], resources: ["nodes"], verbs: ["list", "patch"] },
    { apiGroups: ["ballast.dev"], resources: ["nodemodels"], verbs: ["create"] },
    { apiGroups: ["ballast.dev"], resources: ["nodemodels/status"], verbs: ["patch"] },
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["list", "patch"] },
    { apiGroups: [""], resources: ["persistentvolumes", "secrets"], verbs: ["create", "patch"] },
    {
      apiGroups: ["admissionregistration.k8s.io"],
      resources: ["mutatingwebhookconfigurations"],
      verbs: ["patch"],
    },
    { apiGroups: [""], resources: ["persistentvolumeclaims"], verbs: ["list"] },
  ];
  const rbac = { apiVersion: "rbac.authorization.k8s.io/v1" };
  const roleRef = {
    apiGroup: "rbac.authorization.k8s.io",
    kind: "ClusterRole",
    name: "ballast-all",
  };
  const subjects = roles.map((role) => ({
    kind: "ServiceAccount",
    name: `ballast-${role}`,
    namespace,
  }));
  return [
    ...subjects.map(({ name }) => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name, namespace },
    })),
    { ...rbac, kind: "ClusterRole", metadata: { name: "ballast-all" }, rules },
    { ...rbac, kind: "ClusterRoleBinding", metadata: { name: "ballast-all" }, roleRef, subjects },
  ];
}

function wideObjects(): object[] {
  const registration = { apiVersion: "admissionregistration.k8s.io/v1" };
  const rules = [
    { apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["nodes"] },
  ];
  return [
    {
      apiVersion: "storage.k8s.io/v1",
      kind: "CSIDriver",
      metadata: { name: driverName },
      spec: {
        attachRequired: false,
        podInfoOnMount: true,
        volumeLifecycleModes: ["Ephemeral", "Persistent"],
        fsGroupPolicy: "None",
      },
    },
    ...["ballast-reporter", "ballast-controller", "ballast-webhook"].flatMap((name) => [
      {
        ...registration,
        kind: "ValidatingAdmissionPolicy",
        metadata: { name },
        spec: { matchConstraints: { resourceRules: rules }, validations: [{ expression: "true" }] },
      },
      {
        ...registration,
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: { name },
        spec: { policyName: name, validationActions: ["Deny"] },
      },
    ]),
    {
      ...registration,
      kind: "MutatingWebhookConfiguration",
      metadata: { name: "ballast-webhook" },
      webhooks: [
        {
          name: "webhook.ballast.dev",
          failurePolicy: "Ignore",
          sideEffects: "None",
          timeoutSeconds: 1,
          admissionReviewVersions: ["v1"],
          // Nobody is there to be called.
          objectSelector: { matchLabels: { nobody: "has-this" } },
          rules: [
            { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
          ],
          clientConfig: {
            caBundle: inBase64(testAuthority),
            service: { name: "ballast-webhook", namespace },
          },
        },
      ],
    },
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "ballast-webhook-certificate", namespace },
      data: { "tls.crt": inBase64(testServing) },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: "ballast-webhook-x",
        namespace,
        labels: { "kubernetes.io/service-name": "ballast-webhook" },
      },
      addressType: "IPv4",
      endpoints: [{ addresses: ["10.1.2.3"], conditions: { ready: true } }],
    },
  ];
}

function workloads(): object[] {
  return roles.map((role) => {
    const isDaemon = ["agent", "csi", "reporter"].includes(role);
    const template = {
      metadata: { labels: labels(role) },
      spec: {
        serviceAccountName: `ballast-${role}`,
        tolerations: [{ operator: "Exists" }],
        containers: [{ name: role, image: "ballast:v1" }],
      },
    };
    return {
      apiVersion: "apps/v1",
      kind: isDaemon ? "DaemonSet" : "Deployment",
      metadata: { name: `ballast-${role}`, namespace, labels: labels(role) },
      spec: { selector: { matchLabels: labels(role) }, template },
    };
  });
}

function objectsOfNode(name: string): object[] {
  return [
    {
      apiVersion: "storage.k8s.io/v1",
      kind: "CSINode",
      metadata: { name },
      spec: { drivers: [{ name: driverName, nodeID: name }] },
    },
    { apiVersion: "ballast.dev/v1alpha1", kind: "NodeModels", metadata: { name } },
    {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: reporterLeaseName(name), namespace },
      spec: {
        holderIdentity: name,
        leaseDurationSeconds: 3600,
        renewTime: new Date().toISOString().replace("Z", "000Z"),
      },
    },
  ];
}

/** Says of each pod that it is ready, as the kubelets of plain nodes never do, until their owners know. */
async function waitUntilReady(plane: ControlPlane): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  for (;;) {
    const { items } = await listAll<ApiObject>(plane.api, { path });
    for (const { metadata } of items) {
      const conditions = [{ type: "Ready", status: "True", lastTransitionTime: null }];
      const body = { status: { phase: "Running", conditions } };
      await plane.api.call({ method: "PATCH", path: `${path}/${metadata.name}/status`, body });
    }
    const format = "{range .items[*]}{.status.numberReady}{.status.readyReplicas} {end}";
    const ready = await plane.kubectl([
      "-n",
      namespace,
      "get",
      "daemonsets,deployments",
      "-o",
      `jsonpath=${format}`,
    ]);
    if (
      ready
        .trim()
        .split(/\s+/)
        .filter((count) => Number(count) > 0).length === roles.length
    )
      return;
  }
}
