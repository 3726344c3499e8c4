import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Digest } from "../../src/core/digest.ts";
import { createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import type {
  ApiObject,
  Pod,
  PreferredTerm,
  WebhookConfiguration,
} from "../../src/kubernetes/api/objects.ts";
import { decisionAnnotation, defaultNamespace, labelKey } from "../../src/kubernetes/names.ts";
import { createAuthority, issueServing } from "../../src/kubernetes/webhook/certificates/issue.ts";
import { formatKept } from "../../src/kubernetes/webhook/certificates/kept-certificate.ts";
import { controlPlaneTools } from "../support/control-plane.ts";
import type { ProgramProcess } from "../support/program-process.ts";
import { toolsMissing } from "../support/programs.ts";
import {
  openWebhookScene,
  podsPath,
  type WebhookScene,
  webhookTemplates,
} from "../support/webhook-scene.ts";

const everything = {
  apiGroups: ["*"],
  apiVersions: ["*"],
  operations: ["*"],
  resources: ["*/*"],
};
const missing = toolsMissing(...controlPlaneTools);
const nodes = ["node-a", "node-b", "node-c", "node-d"];
const warm = "node-c";
const configurationPath =
  "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/ballast-webhook";
const policyPath =
  "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/ballast-affinity";
const secretPath = `/api/v1/namespaces/${defaultNamespace}/secrets/ballast-webhook-certificate`;
const pinsPath = `/api/v1/namespaces/${defaultNamespace}/configmaps/ballast-webhook-pins`;

function termsOf({ spec }: Pod): readonly PreferredTerm[] {
  return spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

function referenceOf({ spec }: Pod): string | undefined {
  return spec.volumes?.find(({ csi }) => csi !== undefined)?.csi?.volumeAttributes?.["reference"];
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

/** Prefers nodes by their label `zone`. */
function preferring(zone: string, weight: number) {
  const expression = { key: "zone", operator: "In", values: [zone] };
  const term = { weight, preference: { matchExpressions: [expression] } };
  return { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [term] } };
}

describe.skipIf(missing)("on a real control plane", () => {
  let scene: WebhookScene;
  let digest: Digest;
  let tagged: string;
  let pinned: string;

  beforeAll(async () => {
    scene = await openWebhookScene();
    digest = await scene.push("team/model:v1", "weights");
    tagged = scene.ref("team/model:v1");
    pinned = `${tagged}@${digest}`;
    for (const [at, name] of nodes.entries())
      await scene.plane.addNode(name, {
        cpus: 64,
        labels: {
          zone: at < 2 ? "east" : "west",
          ...(name === warm ? { [labelKey(digest)]: "ready" } : {}),
        },
      });
  }, 120_000);
  afterAll(async () => scene[Symbol.asyncDispose]());
  afterEach(async () => scene.deletePods());

  const api = () => scene.plane.api;
  const get = <T extends ApiObject>(path: string) => api().call<T>({ method: "GET", path });
  const isTrusted = async () => {
    const { webhooks = [] } = await get<WebhookConfiguration>(configurationPath);
    const { caBundle, url = "" } = webhooks[0]?.clientConfig ?? {};
    return caBundle !== undefined && /\/pods\/[0-9a-f]{32}$/.test(url);
  };
  /** The API server needs a moment to see whom it may trust. */
  const untilItPins = () =>
    vi.waitFor(
      async () => {
        const pod = await scene.createPod(
          { reference: tagged, ownerUid: "owner" },
          { dryRun: true },
        );
        expect(referenceOf(pod)).toBe(pinned);
      },
      { timeout: 15_000, interval: 200 },
    );

  test("its Deployment, Service and budget are taken, and its pods are fit for a restricted namespace", async () => {
    await scene.applyChart(["webhook-deployment", "webhook-service"], ["webhook.replicas=0"]);
    const path = `/apis/apps/v1/namespaces/${defaultNamespace}/deployments/ballast-webhook`;
    const { spec } = await get<ApiObject & { spec: { template: { spec: object } } }>(path);
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "strict", labels } };
    await api().call({ method: "POST", path: "/api/v1/namespaces", body: namespace });
    const account = { metadata: { name: "ballast-webhook" } };
    const accounts = "/api/v1/namespaces/strict/serviceaccounts";
    await api().call({ method: "POST", path: accounts, body: account });
    const pod = { metadata: { name: "webhook" }, spec: spec.template.spec };
    const pods = "/api/v1/namespaces/strict/pods";
    const made = await api().call<Pod>({ method: "POST", path: pods, body: pod });
    expect(made.metadata.name).toBe("webhook");
  });

  describe("the webhook", () => {
    let webhook: ProgramProcess;

    beforeAll(async () => {
      webhook = await scene.startWebhook();
      await untilItPins();
    }, 60_000);
    afterAll(async () => webhook.kill());

    test("puts 10 of 10 pods on the node that has the model", async () => {
      const placed = await scene.place(times(10, { reference: tagged }));
      expect(placed).toEqual(times(10, warm));
    });

    test("pins the tag, and says what it did", async () => {
      const pod = await scene.createPod({ reference: tagged, ownerUid: "owner" });
      expect(referenceOf(pod)).toBe(pinned);
      expect(termsOf(pod)).toEqual([
        {
          weight: 100,
          preference: {
            matchExpressions: [{ key: labelKey(digest), operator: "In", values: ["ready"] }],
          },
        },
      ]);
      expect(pod.metadata.annotations?.[decisionAnnotation]).toMatch(
        /^model: pinned to sha256:[0-9a-f]{12}, prefers nodes that have it \(weight 100\)$/,
      );
    });

    test("a pod without a controller keeps its tag, so that it can be applied again", async () => {
      const csi = { driver: "csi.ballast.dev", readOnly: true };
      const volume = { name: "model", csi: { ...csi, volumeAttributes: { reference: tagged } } };
      const manifest = JSON.stringify({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "bare", namespace: "default" },
        spec: { containers: [{ name: "main", image: "none" }], volumes: [volume] },
      });
      const apply = () => scene.plane.kubectl(["apply", "-f", "-"], { input: manifest });
      expect(await apply()).toContain("created");
      expect(await apply()).toMatch(/unchanged|configured/);
      const pod = await get<Pod>(`${podsPath}/bare`);
      expect(referenceOf(pod)).toBe(tagged);
      expect(termsOf(pod)).toHaveLength(1);
    });

    test("a node that the user prefers wins over the one that has the model", async () => {
      const spec = { affinity: preferring("east", 80) };
      const placed = await scene.place(times(6, { reference: tagged, spec }));
      expect(placed.filter((name) => name === "node-a" || name === "node-b")).toHaveLength(6);
    });

    test("among nodes that the user prefers alike the one that has the model wins", async () => {
      const spec = { affinity: preferring("west", 80) };
      const placed = await scene.place(times(6, { reference: tagged, spec }));
      expect(placed).toEqual(times(6, warm));
    });

    test("when the node that has the model is full, pods go elsewhere", async () => {
      const resources = { requests: { cpu: "30" } };
      const spec = { containers: [{ name: "main", image: "none", resources }] };
      const placed = await scene.place(times(4, { reference: tagged, spec }));
      expect(placed.filter((name) => name === warm)).toHaveLength(2);
    });

    test("a pod that opts out, or has a node, is not touched", async () => {
      const off = { "ballast.dev/locality": "off" };
      const out = await scene.createPod({ reference: tagged, annotations: off });
      const placed = await scene.createPod({ reference: tagged, spec: { nodeName: "node-a" } });
      for (const pod of [out, placed]) {
        expect(referenceOf(pod)).toBe(tagged);
        expect(termsOf(pod)).toEqual([]);
        expect(pod.metadata.annotations?.[decisionAnnotation]).toBeUndefined();
      }
    });

    test.each([
      [
        "a tag that it may not read",
        () => scene.ref("private/model:v1"),
        /left alone \(UNAUTHORIZED\)/,
      ],
      [
        "a tag that is not there",
        () => scene.ref("team/model:nothing"),
        /left alone \(NOT_FOUND\)/,
      ],
      [
        "a registry that is not allowed",
        () => "registry.example.com/a:v1",
        /left alone \(FORBIDDEN\)/,
      ],
      ["what is no reference", () => "no reference", /left alone \(INVALID_REFERENCE\)/],
      [
        "a digest that nobody has",
        () => `${scene.ref("team/model")}@sha256:${"0".repeat(64)}`,
        /no preference \(NOT_FOUND\)/,
      ],
    ])("%s: the pod is created as it is, and told why", async (_, reference, why) => {
      const [node] = await scene.place([{ reference: reference() }]);
      expect(nodes).toContain(node);
      const { items } = await api().call<{ items: Pod[] }>({ method: "GET", path: podsPath });
      const [pod] = items;
      expect(pod && referenceOf(pod)).toBe(reference());
      expect(pod && termsOf(pod)).toEqual([]);
      expect(pod?.metadata.annotations?.[decisionAnnotation]).toMatch(why);
    });

    test("replicas load one version, though the tag moved between them and the webhook restarted", async () => {
      const first = await scene.push("team/moving:v1", "one");
      const reference = scene.ref("team/moving:v1");
      await scene.plane.apply(replicaSet("moving", reference, 1));
      const found = async () => {
        const query = { labelSelector: "app=moving" };
        const { items } = await api().call<{ items: Pod[] }>({
          method: "GET",
          path: podsPath,
          query,
        });
        return items.map(referenceOf);
      };
      await expect.poll(found, { timeout: 15_000 }).toEqual([`${reference}@${first}`]);
      const second = await scene.push("team/moving:v1", "two");
      expect(second).not.toBe(first);
      await webhook.kill();
      webhook = await scene.startWebhook();
      await untilItPins();
      await scene.plane.apply(replicaSet("moving", reference, 3));
      await expect.poll(found, { timeout: 15_000 }).toEqual(times(3, `${reference}@${first}`));
      await scene.plane.apply(replicaSet("moving", reference, 0));
      await expect.poll(found, { timeout: 15_000 }).toEqual([]);
      await scene.plane.apply(replicaSet("moving", reference, 1));
      await expect.poll(found, { timeout: 15_000 }).toEqual([`${reference}@${first}`]);
      // Another owner begins anew.
      const other = await scene.createPod({ reference, ownerUid: "another" });
      expect(referenceOf(other)).toBe(`${reference}@${second}`);
      await scene.plane.kubectl(["delete", "replicaset", "moving", "--cascade=foreground"]);
    });

    test("a dry run is answered alike, and keeps nothing", async () => {
      const before = await get(pinsPath);
      const pod = await scene.createPod({ reference: tagged, ownerUid: "dry" }, { dryRun: true });
      expect(referenceOf(pod)).toBe(pinned);
      expect(await get(pinsPath)).toEqual(before);
      await scene.createPod({ reference: tagged, ownerUid: "wet" });
      expect(await get(pinsPath)).not.toEqual(before);
    });

    test("a claim's model counts where the pod asks for it", async () => {
      await scene.plane.apply(claimManifests("models", pinned));
      const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "models" } }];
      const bound = async () =>
        (await get<Pod>("/api/v1/namespaces/default/persistentvolumeclaims/models")).status?.phase;
      await expect.poll(bound, { timeout: 15_000 }).toBe("Bound");
      const annotations = { "ballast.dev/locality": "on" };
      const asking = await scene.createPod({ annotations, spec: { volumes } });
      expect(termsOf(asking)).toHaveLength(1);
      const silent = await scene.createPod({ spec: { volumes } });
      expect(termsOf(silent)).toEqual([]);
    });

    test("tells API servers again whom to trust, and where, when somebody takes it away", async () => {
      const { webhooks = [] } = await get<WebhookConfiguration>(configurationPath);
      const value = new URL("/pods", webhooks[0]?.clientConfig.url).href;
      const body = [
        { op: "remove", path: "/webhooks/0/clientConfig/caBundle" },
        { op: "replace", path: "/webhooks/0/clientConfig/url", value },
      ];
      const contentType = "application/json-patch+json";
      await api().call({ method: "PATCH", path: configurationPath, body, contentType });
      await expect.poll(isTrusted, { timeout: 15_000 }).toBe(true);
      await untilItPins();
    });

    test("an upgrade of the chart leaves certificate, pins and trust as they are", async () => {
      await scene.createPod({ reference: tagged, ownerUid: "upgrade" });
      const kept = async () => {
        const [secret, pins, configuration] = await Promise.all([
          get<ApiObject & { data?: object }>(secretPath),
          get<ApiObject & { data?: object }>(pinsPath),
          get<WebhookConfiguration>(configurationPath),
        ]);
        return [secret.data, pins.data, configuration.webhooks?.[0]?.clientConfig.caBundle];
      };
      const before = await kept();
      expect(before).not.toContain(undefined);
      await scene.applyChart(webhookTemplates);
      expect(await kept()).toEqual(before);
    });

    test("its token can do what it must and no more", async () => {
      using own = createClusterApi({ kubeconfig: scene.kubeconfig, userAgent: "test" });
      const attempt = async (method: "GET" | "PATCH" | "POST" | "DELETE", path: string) => {
        const body = method === "GET" || method === "DELETE" ? undefined : { metadata: {} };
        return own.call({ method, path, body }).then(
          () => 200,
          (error: unknown) => Reflect.get(Object(error), "status"),
        );
      };
      const secrets = (namespace: string) => `/api/v1/namespaces/${namespace}/secrets`;
      expect(await attempt("GET", secretPath)).toBe(200);
      expect(await attempt("GET", pinsPath)).toBe(200);
      expect(await attempt("GET", configurationPath)).toBe(200);
      const forbidden = [
        ["GET", secrets("default")],
        ["GET", secrets("kube-system")],
        ["GET", secrets(defaultNamespace)],
        ["GET", `${secrets(defaultNamespace)}/other`],
        ["POST", secrets(defaultNamespace)],
        ["DELETE", secretPath],
        ["POST", `/api/v1/namespaces/${defaultNamespace}/configmaps`],
        ["PATCH", configurationPath.replace("ballast-webhook", "other")],
        ["DELETE", configurationPath],
        ["GET", podsPath],
        ["POST", podsPath],
        ["GET", "/api/v1/nodes"],
        ["PATCH", "/api/v1/nodes/node-a"],
        ["GET", "/api/v1/persistentvolumes"],
      ] as const;
      for (const [method, path] of forbidden)
        expect([method, path, await attempt(method, path)]).toEqual([method, path, 403]);
    });

    test.each([
      ["what it is asked about", "add", "/webhooks/0/rules/-", everything],
      ["who waits for it", "remove", "/webhooks/0/matchConditions", undefined],
      ["which namespaces are its business", "replace", "/webhooks/0/namespaceSelector", {}],
      ["what happens when it is dead", "replace", "/webhooks/0/failurePolicy", "Fail"],
      ["how long it is waited for", "replace", "/webhooks/0/timeoutSeconds", 30],
      ["who is called", "replace", "/webhooks/0/clientConfig/url", "https://example.com/"],
      ["whether it can be deleted", "add", "/metadata/finalizers", ["example.com/never"]],
      ["who owns it", "remove", "/metadata/labels", undefined],
    ] as const)("its token cannot change %s", async (_, op, path, value) => {
      using own = createClusterApi({ kubeconfig: scene.kubeconfig, userAgent: "test" });
      const request = {
        method: "PATCH",
        path: configurationPath,
        body: [{ op, path, value }],
        contentType: "application/json-patch+json",
        query: { dryRun: "All" },
      } as const;
      // A policy takes a moment to be at work.
      const tried = () => own.call(request).catch((error: unknown) => error);
      await expect.poll(tried).toMatchObject({
        status: 403,
        message: expect.stringContaining("may change caBundle and path only"),
      });
      await expect(api().call(request)).resolves.toBeDefined();
    });
  });

  test("an expired certificate is replaced at the start, and pods are seen to again", async () => {
    const longAgo = { now: new Date("2020-01-01"), lifeMs: 86_400_000 };
    const authority = await createAuthority(longAgo);
    const serving = await issueServing(authority, { ...longAgo, names: ["localhost"] });
    const data = formatKept({ authority, serving, trusted: [authority.certificate] });
    await api().call({ method: "PATCH", path: secretPath, body: { data } });
    await using _ = await scene.startWebhook();
    await untilItPins();
    expect(await scene.place(times(3, { reference: tagged }))).toEqual(times(3, warm));
  });

  test("when the webhook is dead, pods are created and get nodes", async () => {
    expect(await isTrusted()).toBe(true);
    const placed = await scene.place(times(3, { reference: tagged }));
    expect(placed).toHaveLength(3);
    const { items } = await api().call<{ items: Pod[] }>({ method: "GET", path: podsPath });
    expect(items.map(referenceOf)).toEqual(times(3, tagged));
  });

  describe("the policy, without the webhook", () => {
    beforeAll(async () => {
      await scene.applyChart(["affinity-policy"], ["affinityPolicy.enabled=true"]);
      const sees = async () => {
        const pod = await scene.createPod({ reference: pinned }, { dryRun: true });
        expect(termsOf(pod)).toHaveLength(1);
      };
      await vi.waitFor(sees, { timeout: 30_000, interval: 200 });
    }, 60_000);

    test("is taken by the API server as it is", async () => {
      const policy = await get<ApiObject & { status?: unknown }>(policyPath);
      expect(policy.metadata.generation).toBe(1);
    });

    test("puts 10 of 10 pods on the node that has the model", async () => {
      expect(await scene.place(times(10, { reference: pinned }))).toEqual(times(10, warm));
    });

    test.each([
      ["no affinity", undefined, 100],
      ["an empty affinity", {}, 100],
      ["an empty nodeAffinity", { nodeAffinity: {} }, 100],
      ["a term of weight 80", preferring("west", 80), 40],
      ["a term of weight 1", preferring("west", 1), 1],
    ])("beside %s adds the term that the webhook would", async (_, affinity, weight) => {
      const pod = await scene.createPod({ reference: pinned, spec: { affinity } });
      const term = {
        weight,
        preference: {
          matchExpressions: [{ key: labelKey(digest), operator: "In", values: ["ready"] }],
        },
      };
      expect(termsOf(pod).at(-1)).toEqual(term);
      const again = await scene.createPod({
        reference: pinned,
        spec: { affinity: pod.spec.affinity },
      });
      expect(termsOf(again)).toEqual(termsOf(pod));
    });

    test("two models share the weight, and one in two volumes counts once", async () => {
      const csi = (reference: string) => ({
        driver: "csi.ballast.dev",
        readOnly: true,
        volumeAttributes: { reference },
      });
      const other = `${scene.ref("team/model")}@sha256:${"1".repeat(64)}`;
      const volumes = [pinned, other, pinned].map((reference, at) => ({
        name: `model-${at}`,
        csi: csi(reference),
      }));
      const pod = await scene.createPod({ spec: { volumes } });
      expect(termsOf(pod).map(({ weight }) => weight)).toEqual([50, 50]);
    });

    test("leaves tags, pods that opt out and pods with a node alone", async () => {
      const off = { "ballast.dev/locality": "off" };
      for (const pod of [
        { reference: tagged },
        { reference: pinned, annotations: off },
        { reference: pinned, spec: { nodeName: "node-a" } },
      ])
        expect(termsOf(await scene.createPod(pod))).toEqual([]);
    });

    test("beside the webhook there is one term, whoever was first", async () => {
      await using _ = await scene.startWebhook();
      await untilItPins();
      for (const reference of [tagged, pinned]) {
        const pod = await scene.createPod({ reference, ownerUid: "owner" });
        expect(referenceOf(pod)).toBe(pinned);
        expect(termsOf(pod)).toHaveLength(1);
      }
    });
  });
});

function replicaSet(name: string, reference: string, replicas: number): string {
  const csi = { driver: "csi.ballast.dev", readOnly: true, volumeAttributes: { reference } };
  const labels = { app: name };
  const spec = {
    containers: [{ name: "main", image: "none" }],
    volumes: [{ name: "model", csi }],
    terminationGracePeriodSeconds: 0,
  };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name, namespace: "default" },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  });
}

function claimManifests(name: string, reference: string): string {
  const amounts = { storage: "1Gi" };
  const accessModes = ["ReadOnlyMany"];
  const volume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      capacity: amounts,
      accessModes,
      storageClassName: "",
      csi: { driver: "csi.ballast.dev", volumeHandle: name, volumeAttributes: { reference } },
    },
  };
  const claim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name, namespace: "default" },
    spec: {
      accessModes,
      storageClassName: "",
      volumeName: name,
      resources: { requests: amounts },
    },
  };
  return `${JSON.stringify(volume)}\n---\n${JSON.stringify(claim)}\n`;
}
