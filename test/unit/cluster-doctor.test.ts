import { describe, expect, test } from "vitest";
import { judgeCluster } from "../../src/kubernetes/cluster/doctor.ts";
import type {
  ClusterFacts,
  CustomResourceDefinition,
  Schema,
  Workload,
} from "../../src/kubernetes/cluster/facts/cluster-facts.ts";
import type { Finding } from "../../src/kubernetes/cluster/finding.ts";
import { driverName, labelKey } from "../../src/kubernetes/names.ts";
import {
  inBase64,
  otherAuthority,
  testAuthority,
  testServing,
} from "../support/cluster-certificates.ts";
import {
  ago,
  emptyCluster,
  leaseOf,
  lookedAt,
  nodeOf,
  reportOf,
  someDigest,
} from "../support/cluster-facts.ts";

function workload(role: string, more: Partial<NonNullable<Workload["status"]>> = {}): Workload {
  return {
    metadata: { name: `ballast-${role}` },
    spec: {
      replicas: 1,
      template: { spec: { containers: [{ name: role, image: "ballast:v1.0.0" }] } },
    },
    status: {
      desiredNumberScheduled: 1,
      updatedNumberScheduled: 1,
      numberReady: 1,
      readyReplicas: 1,
      ...more,
    },
  };
}

const schemaOf = (...names: string[]): Schema => ({
  properties: Object.fromEntries(names.map((name) => [name, {}])),
});

const statusSchema: Schema = {
  properties: {
    ...schemaOf("reportedAt", "agentReady", "agentVersion", "readyModels", "omitted").properties,
    store: schemaOf("bytes", "capacityBytes"),
    models: {
      items: schemaOf(
        "digest",
        "state",
        "bytes",
        "totalBytes",
        "bytesPerSecond",
        "pinned",
        "mounts",
      ),
    },
  },
};

function definition(status: Schema = statusSchema): CustomResourceDefinition {
  const schema = { openAPIV3Schema: { properties: { status } } };
  const version = { name: "v1alpha1", served: true, subresources: { status: {} }, schema };
  return {
    metadata: {},
    spec: { versions: [version] },
    status: { conditions: [{ type: "Established", status: "True" }] },
  };
}

const driverSpec = {
  attachRequired: false,
  podInfoOnMount: true,
  volumeLifecycleModes: ["Ephemeral", "Persistent"],
  fsGroupPolicy: "None",
};

const hook = {
  name: "webhook.ballast.dev",
  failurePolicy: "Ignore",
  clientConfig: {
    caBundle: inBase64(testAuthority),
    service: { name: "ballast-webhook", namespace: "ballast-system" },
  },
};

function healthyCluster(): ClusterFacts {
  const csiPod = {
    metadata: { name: "ballast-csi-x", labels: { "app.kubernetes.io/component": "csi" } },
    spec: { nodeName: "a" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  };
  return {
    ...emptyCluster(),
    home: {
      value: { metadata: { labels: { "pod-security.kubernetes.io/enforce": "privileged" } } },
    },
    crd: { value: definition() },
    driver: { value: { metadata: {}, spec: driverSpec } },
    workloads: {
      value: ["agent", "csi", "reporter", "controller", "webhook"].map((role) => workload(role)),
    },
    pods: { value: [csiPod] },
    csiNodes: { value: [{ metadata: { name: "a" }, spec: { drivers: [{ name: driverName }] } }] },
    leases: { value: [leaseOf("a")] },
    reports: { value: [reportOf("a", [])] },
    webhook: { value: { metadata: {}, webhooks: [hook] } },
    certificate: { value: { metadata: {}, data: { "tls.crt": inBase64(testServing) } } },
    endpoints: { value: [{ metadata: {}, endpoints: [{ conditions: { ready: true } }] }] },
    policies: {
      value: {
        validating: ["ballast-reporter", "ballast-controller", "ballast-webhook"],
        mutating: [],
        bound: ["ballast-reporter", "ballast-controller", "ballast-webhook"],
      },
    },
    rights: { value: [{ role: "reporter", right: "patch nodes", allowed: true }] },
  };
}

const findings = (facts: ClusterFacts, status: Finding["status"]) =>
  judgeCluster(facts).findings.filter((finding) => finding.status === status);

describe("the doctor", () => {
  test("finds nothing wrong with a healthy cluster", () => {
    const { counts } = judgeCluster(healthyCluster());
    expect(counts).toMatchObject({ warning: 0, failed: 0, unknown: 0 });
    expect(counts.ok).toBeGreaterThan(10);
  });

  test("names all that is missing where nothing is installed, each with a fix", () => {
    const facts = emptyCluster();
    const wrong = [...findings(facts, "failed"), ...findings(facts, "warning")];
    expect(wrong.map(({ check }) => check)).toEqual([
      "namespace",
      "CRD nodemodels",
      "CSIDriver",
      "agent",
      "csi",
      "node driver",
      "reporter",
      "controller",
      "webhook",
      "policies",
    ]);
    for (const { fix } of wrong) expect(fix).toMatch(/helm upgrade|kubectl/);
  });

  test("says of all that it may not see that it is unknown, and of nothing that it failed", () => {
    const refused = { refused: "GET /x: the API server answered 403, forbidden" };
    const blind = Object.fromEntries(
      Object.entries(healthyCluster()).map(([name, value]) => [
        name,
        typeof value === "object" ? refused : value,
      ]),
    ) as unknown as ClusterFacts;
    const { counts } = judgeCluster(blind);
    expect(counts).toMatchObject({ failed: 0, warning: 0, ok: 1 });
    expect(counts.unknown).toBeGreaterThan(7);
    expect(findings(blind, "unknown")[0]?.summary).toMatch(/403, forbidden$/);
  });

  test.each<
    [
      what: string,
      change: Partial<ClusterFacts>,
      status: Finding["status"],
      says: RegExp,
      fix: RegExp,
    ]
  >([
    [
      "an API server without policies",
      { serverVersion: "v1.29.4" },
      "warning",
      /v1.29.4: it has no Validating/,
      /upgrade/,
    ],
    [
      "an API server without node claims",
      { serverVersion: "v1.31.0-gke.1" },
      "warning",
      /from 1.32 on/,
      /upgrade/,
    ],
    [
      "a namespace for unprivileged pods",
      {
        home: {
          value: { metadata: { labels: { "pod-security.kubernetes.io/enforce": "restricted" } } },
        },
      },
      "failed",
      /enforces pod security restricted/,
      /^kubectl label --overwrite namespace ballast-system .*=privileged$/,
    ],
    [
      "a CRD that is not served",
      {
        crd: {
          value: {
            ...definition(),
            status: {
              conditions: [
                { type: "NamesAccepted", status: "False", message: "taken by other.example.com" },
              ],
            },
          },
        },
      },
      "failed",
      /does not serve .* taken by other.example.com/,
      /helm upgrade/,
    ],
    [
      "an older CRD",
      {
        crd: {
          value: definition({
            properties: { ...statusSchema.properties, models: { items: schemaOf("digest") } },
          }),
        },
      },
      "failed",
      /drops models.state, models.bytes/,
      /helm upgrade/,
    ],
    [
      "a CSIDriver that tells no pod",
      { driver: { value: { metadata: {}, spec: { ...driverSpec, podInfoOnMount: false } } } },
      "failed",
      /podInfoOnMount is not true/,
      /helm upgrade/,
    ],
    [
      "a CSIDriver without inline volumes",
      {
        driver: {
          value: { metadata: {}, spec: { ...driverSpec, volumeLifecycleModes: ["Persistent"] } },
        },
      },
      "failed",
      /lacks Ephemeral: inline volumes/,
      /^kubectl delete csidriver/,
    ],
    [
      "a CSIDriver that waits for an attacher",
      { driver: { value: { metadata: {}, spec: { ...driverSpec, attachRequired: true } } } },
      "failed",
      /attachRequired/,
      /^kubectl delete csidriver/,
    ],
    [
      "a part that does not run, with its Event",
      {
        workloads: { value: [workload("agent", { numberReady: 0 }), workload("csi")] },
        events: {
          value: [
            {
              metadata: {},
              type: "Warning",
              message: "Back-off restarting failed container",
              involvedObject: { kind: "Pod", name: "ballast-agent-x" },
            },
          ],
        },
      },
      "failed",
      /0 of 1 pods of DaemonSet ballast-agent are ready: Back-off restarting/,
      /describe pods -l app.kubernetes.io\/component=agent/,
    ],
    [
      "a kubelet with another folder, by what its pod says",
      {
        workloads: { value: [workload("agent"), workload("csi", { numberReady: 0 })] },
        events: {
          value: [
            {
              metadata: {},
              type: "Warning",
              message:
                'MountVolume.SetUp failed for volume "registration" : hostPath type check failed: /var/lib/kubelet/plugins_registry is not a directory',
              involvedObject: { kind: "Pod", name: "ballast-csi-x" },
            },
          ],
        },
      },
      "failed",
      /plugins_registry is not there.*--set kubeletRoot=DIR/,
      /describe pods/,
    ],
    [
      "a kubelet that does not know a plugin that runs",
      { csiNodes: { value: [{ metadata: { name: "a" }, spec: { drivers: null } }] } },
      "failed",
      /runs on a, and the kubelet there does not know it/,
      /kubeletRoot=DIR/,
    ],
    [
      "parts of two versions",
      {
        workloads: {
          value: [
            workload("agent"),
            {
              ...workload("csi"),
              spec: {
                template: { spec: { containers: [{ name: "csi", image: "ballast:v0.9.0" }] } },
              },
            },
          ],
        },
      },
      "warning",
      /ballast-csi: ballast:v0.9.0/,
      /helm upgrade/,
    ],
    [
      "pods of an older version",
      { workloads: { value: [workload("agent", { updatedNumberScheduled: 0 }), workload("csi")] } },
      "warning",
      /1 of 1 pods of DaemonSet ballast-agent are of an older version/,
      /rollout status/,
    ],
    [
      "a role without its rights",
      { rights: { value: [{ role: "reporter", right: "patch nodes", allowed: false }] } },
      "failed",
      /ballast-reporter may not patch nodes/,
      /helm upgrade/,
    ],
    [
      "a policy that nothing binds",
      { policies: { value: { validating: ["ballast-reporter"], mutating: [], bound: [] } } },
      "failed",
      /no binding puts ballast-reporter to work/,
      /helm upgrade/,
    ],
    [
      "a role that nothing confines",
      {
        policies: {
          value: {
            validating: ["ballast-controller", "ballast-webhook"],
            mutating: [],
            bound: ["ballast-controller", "ballast-webhook"],
          },
        },
      },
      "warning",
      /confines what the reporter may change/,
      /helm upgrade/,
    ],
    [
      "a webhook that stops pods when it is dead",
      { webhook: { value: { metadata: {}, webhooks: [{ ...hook, failurePolicy: "Fail" }] } } },
      "failed",
      /failurePolicy is Fail/,
      /kubectl patch mutatingwebhookconfiguration/,
    ],
    [
      "a webhook without a caBundle",
      { webhook: { value: { metadata: {}, webhooks: [{ ...hook, clientConfig: {} }] } } },
      "failed",
      /no caBundle/,
      /rollout restart/,
    ],
    [
      "a webhook of another authority",
      {
        webhook: {
          value: {
            metadata: {},
            webhooks: [{ ...hook, clientConfig: { caBundle: inBase64(otherAuthority) } }],
          },
        },
      },
      "failed",
      /of another authority/,
      /rollout restart/,
    ],
    [
      "a certificate that has expired",
      { now: Date.parse("2300-01-01"), leases: { refused: "no" } },
      "failed",
      /^the webhook's certificate expired on 2125/,
      /rollout restart/,
    ],
    [
      "a webhook that nobody serves",
      { endpoints: { value: [{ metadata: {}, endpoints: null }] } },
      "warning",
      /no pod of the webhook is ready/,
      /endpointslices/,
    ],
    [
      "a reporter that is dead",
      { leases: { value: [leaseOf("a", 300)] } },
      "warning",
      /no reporter is alive on a/,
      /logs/,
    ],
    [
      "a label that nobody stands for",
      {
        nodes: {
          value: [nodeOf("a"), nodeOf("b", { labels: { [labelKey(someDigest)]: "ready" } })],
        },
      },
      "failed",
      /^b: labelled as warm/,
      /teardown --labels/,
    ],
    [
      "an agent that does not answer, beside a node without a reporter",
      {
        nodes: { value: [nodeOf("a"), nodeOf("b")] },
        reports: {
          value: [
            { ...reportOf("a", []), status: { reportedAt: ago(1), agentReady: false, models: [] } },
          ],
        },
      },
      "failed",
      /agent does not answer on a/,
      /logs/,
    ],
    [
      "an agent that does not answer",
      {
        reports: {
          value: [
            { ...reportOf("a", []), status: { reportedAt: ago(1), agentReady: false, models: [] } },
          ],
        },
      },
      "failed",
      /agent does not answer on a/,
      /logs/,
    ],
    [
      "an agent of another version",
      {
        reports: {
          value: [
            {
              ...reportOf("a", []),
              status: { reportedAt: ago(1), agentReady: true, agentVersion: "0.9.0", models: [] },
            },
          ],
        },
      },
      "warning",
      /a 0.9.0/,
      /one version/,
    ],
    [
      "a cluster that admits critical pods by quota only",
      {
        events: {
          value: [
            {
              metadata: {},
              reason: "FailedCreate",
              message:
                "forbidden: insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]",
            },
          ],
        },
      },
      "failed",
      /ballast-system has none/,
      /criticalPodsQuota/,
    ],
    [
      "pods that wait long for something else than a pull",
      {
        waiting: {
          value: [
            { namespace: "team", count: 3, pod: "llama-0", since: ago(600), why: "no secret" },
          ],
        },
      },
      "warning",
      /^team: 3 pods wait, llama-0 since .*: no secret$/,
      /explain pod team\/llama-0/,
    ],
  ])("finds %s", (_, change, status, says, fix) => {
    const found = findings({ ...healthyCluster(), ...change }, status);
    const named = found.filter(({ summary }) => says.test(summary));
    expect(named).toEqual([expect.objectContaining({ status })]);
    expect(named[0]?.fix).toMatch(fix);
  });

  test("takes a pull for no fault, however long it is", () => {
    const why = "rpc error: code = Aborted desc = pulling a: 43 %";
    const value = [{ namespace: "team", count: 1, pod: "p", since: ago(9000), why }];
    expect(findings({ ...healthyCluster(), waiting: { value } }, "warning")).toEqual([]);
  });

  test("names a few nodes of many", () => {
    const nodes = Array.from({ length: 1000 }, (_, at) => nodeOf(`n${at}`));
    const found = findings({ ...healthyCluster(), nodes: { value: nodes } }, "warning");
    expect(found.map(({ summary }) => summary).join()).toContain("n4 and 995 more");
  });

  test("works by the clock of the side that asks, with some slack", () => {
    const leases = { value: [leaseOf("a", 45)] };
    expect(findings({ ...healthyCluster(), leases, now: lookedAt }, "warning")).toEqual([]);
  });
});
