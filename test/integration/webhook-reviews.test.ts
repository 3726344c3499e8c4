import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import {
  parseKept,
  reviewPath,
} from "../../src/kubernetes/webhook/certificates/kept-certificate.ts";
import { startWebhook, type Webhook } from "../../src/kubernetes/webhook/webhook.ts";
import { push } from "../../src/model/push.ts";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { createReviewClient, type ReviewClient } from "../support/review-client.ts";

const namespace = "ballast-system";
const login = { username: "tester", password: "secret" };

let folder: TemporaryFolder;
let server: FakeApiServer;
let api: ClusterApi;
let registry: RegistryServer;
let requests: string[];
let lines: string[];
let digest: string;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  server = await startFakeApiServer();
  api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "test" });
  requests = [];
  lines = [];
  registry = await startRegistry({
    root: join(folder.path, "registry"),
    auth: login,
    limits: { closeGraceMs: 100 },
    onRequest: ({ method, path, status }) => requests.push(`${method} ${path} ${status}`),
  });
  await writeTree(join(folder.path, "model"), { "weights.bin": "weights" });
  const source = join(folder.path, "model");
  const reference = `${registry.address}/team/model:v1`;
  ({ digest } = await push({ source, reference, credentials: login }));
  requests.length = 0;
});
afterEach(async () => {
  api[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface Asked extends AsyncDisposable {
  readonly webhook: Webhook;
  readonly client: ReviewClient;
  /** Where reviews are taken. */
  readonly reviews: string;
}

/** A webhook, and who asks it. By default it reads with an account of its own. */
async function open(options: { readPodSecrets?: boolean; config?: object } = {}): Promise<Asked> {
  const { readPodSecrets = false, config = {} } = options;
  await using started = new AsyncDisposableStack();
  const path = join(folder.path, "webhook.yaml");
  const access = { ownCredentials: [`${registry.address}/team/*`] };
  const registries = readPodSecrets ? { allow: [registry.address] } : {};
  await writeFile(path, JSON.stringify({ access, registries, ...config }));
  const listen = { host: "127.0.0.1", port: 0 };
  const stop = new AbortController();
  const webhook = started.use(
    await startWebhook(
      {
        api,
        namespace,
        service: "ballast-webhook",
        listen,
        healthListen: listen,
        config: path,
        affinityMinBytes: 1,
        readPodSecrets,
        environment: { BALLAST_USERNAME: login.username, BALLAST_PASSWORD: login.password },
        write: (line) => void lines.push(line),
        certificate: { settleMs: 1 },
      },
      stop.signal,
    ),
  );
  const secret = await api.call<{ data: Record<string, string> }>({
    method: "GET",
    path: `/api/v1/namespaces/${namespace}/secrets/ballast-webhook-certificate`,
  });
  const kept = parseKept(secret.data);
  if (kept === undefined) throw new Error("no certificate is kept");
  const servername = `ballast-webhook.${namespace}.svc`;
  const ca = kept.trusted.join("");
  const reviews = reviewPath(kept);
  const asking = { port: webhook.port, ca, servername, path: reviews };
  const client = started.use(createReviewClient(asking));
  const owned = started.move();
  return { webhook, client, reviews, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function podWith(reference: string, owner?: string, secret?: string): unknown {
  const nodePublishSecretRef = secret === undefined ? undefined : { name: secret };
  const csi = {
    driver: "csi.ballast.dev",
    volumeAttributes: { reference },
    nodePublishSecretRef,
  };
  const ownerReferences =
    owner === undefined
      ? undefined
      : [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "a", uid: owner, controller: true }];
  return {
    metadata: { ownerReferences },
    spec: { volumes: [{ name: "model", csi }], containers: [{ name: "main", image: "none" }] },
  };
}

const tagged = () => `${registry.address}/team/model:v1`;

describe("an admission webhook", () => {
  test("pins and prefers, and asks the registry once for a burst of pods of many owners", async () => {
    await using asked = await open();
    const pods = Array.from({ length: 40 }, (_, at) => podWith(tagged(), `owner-${at}`));
    const answers = await Promise.all(pods.map((pod) => asked.client.review(pod)));
    for (const { status, allowed, patch } of answers) {
      expect([status, allowed]).toEqual([200, true]);
      expect(patch.map(({ path }) => path)).toEqual([
        "/spec/volumes/0/csi/volumeAttributes/reference",
        "/spec/affinity",
        "/metadata/annotations",
      ]);
      expect(patch[0]?.value).toBe(`${tagged()}@${digest}`);
    }
    const manifests = requests.filter((line) => /\/manifests\/.* 200$/.test(line));
    expect(manifests).toHaveLength(2);
  });

  test.each([
    ["no JSON", "nonsense"],
    ["nothing", ""],
    ["another document", "{}"],
    ["an older version", '{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}'],
    [
      "no request",
      '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"a"}}',
    ],
    ["absurd depth", "[".repeat(100_000)],
  ])("answers %s with 400", async (_, body) => {
    await using asked = await open();
    expect((await asked.client.post(body)).status).toBe(400);
  });

  test("says nothing to who knows the port but not the path", async () => {
    await using asked = await open();
    const { client, reviews } = asked;
    const other = reviews.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const review = JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" });
    for (const path of ["/pods", "/pods/", other, `${reviews}/`, reviews.toUpperCase()])
      expect(await client.post(review, path)).toMatchObject({ status: 404, allowed: undefined });
  });

  test("answers other paths, methods and absurd lengths as HTTP has it", async () => {
    await using asked = await open();
    expect((await asked.client.post("{}", "/other")).status).toBe(404);
    expect((await asked.client.post("", undefined, "GET")).status).toBe(405);
    expect((await asked.client.post(Buffer.alloc(5_000_000, " "))).status).toBe(413);
  });

  test.each([
    ["of something else", podWith("a"), { resource: { group: "apps", resource: "deployments" } }],
    ["of an update", podWith("a"), { operation: "UPDATE" }],
    ["of a subresource", podWith("a"), { subResource: "binding" }],
    ["without an object", null, {}],
    ["of what is no pod", { metadata: { labels: 7 }, spec: { volumes: "none" } }, {}],
    ["of a pod without models", { metadata: {}, spec: {} }, {}],
  ])("allows a review %s as it is", async (_, pod, more) => {
    await using asked = await open();
    const { status, allowed, patch } = await asked.client.review(pod, more);
    expect([status, allowed, patch]).toEqual([200, true, []]);
  });

  test("allows a pod before the API server gives up when the registry says nothing, and says why", async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => void sockets.add(socket)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : undefined;
    await using asked = await open();
    const answer = await asked.client.review(podWith(`127.0.0.1:${port}/team/model:v1`, "a"));
    // It is still asked, for the next pod.
    expect(sockets.size).toBe(1);
    for (const socket of sockets) socket.destroy();
    silent.close();
    expect(answer.allowed).toBe(true);
    expect(answer.patch).toEqual([
      {
        op: "add",
        path: "/metadata/annotations",
        value: { "ballast.dev/locality-decision": "model: left alone (no answer in time)" },
      },
    ]);
  });

  test("allows pods when the API server is gone: pins hold here", async () => {
    await using asked = await open();
    await server.stop();
    const { patch } = await asked.client.review(podWith(tagged(), "a"));
    expect(patch[0]?.value).toBe(`${tagged()}@${digest}`);
    await server.resume();
  });

  test("reads with a pod's own login only where it is told to", async () => {
    const secret = {
      metadata: { name: "registry-login" },
      data: Object.fromEntries(
        Object.entries(login).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
      ),
    };
    const path = "/api/v1/namespaces/default/secrets";
    await api.call({ method: "POST", path, body: secret });
    const pod = podWith(tagged(), "a", "registry-login");
    const decide = async (options: Parameters<typeof open>[0]) => {
      await using asked = await open({ ...options, config: { access: { ownCredentials: [] } } });
      const { patch } = await asked.client.review(pod);
      return JSON.stringify(patch);
    };
    expect(await decide({ readPodSecrets: false })).toContain("left alone (UNAUTHORIZED)");
    expect(server.requests.filter((each) => each.path.startsWith(path)).length).toBe(1);
    expect(await decide({ readPodSecrets: true })).toContain("pinned to");
    expect(lines.join()).not.toContain(login.password);
  });

  test("reads no secrets of pods where any registry may be asked with them", async () => {
    const config = { registries: {} };
    await expect(open({ readPodSecrets: true, config })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      hint: expect.stringContaining("registries.allow"),
    });
  });

  test("a missing secret leaves the pod alone", async () => {
    await using asked = await open({ readPodSecrets: true });
    const { patch } = await asked.client.review(podWith(tagged(), "a", "nothing"));
    expect(JSON.stringify(patch)).toContain("left alone (the API server answered 404)");
  });

  test("is healthy and ready, and counts what it did", async () => {
    await using asked = await open();
    await asked.client.review(podWith(tagged(), "a"));
    await asked.client.review(podWith(`${registry.address}/team/model:nothing`));
    const get = async (path: string) => {
      const answer = await fetch(`http://127.0.0.1:${asked.webhook.healthPort}${path}`);
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await get("/healthz")).toBe("200 ok\n");
    expect(await get("/readyz")).toBe("200 ready\n");
    const metrics = await get("/metrics");
    for (const line of [
      'ballast_webhook_decisions_total{result="pinned"} 1',
      'ballast_webhook_decisions_total{result="preferred"} 1',
      'ballast_webhook_decisions_total{result="unknown"} 1',
      "ballast_webhook_review_seconds_count 2",
    ])
      expect(metrics).toContain(line);
    expect(metrics).toMatch(/ballast_webhook_certificate_end_seconds 1\d{9}/);
  });

  test("answers what has come in before it ends", async () => {
    await using asked = await open();
    const answered = asked.client.review(podWith(tagged(), "a"));
    await expect.poll(() => requests.length).toBeGreaterThan(0);
    await asked.webhook[Symbol.asyncDispose]();
    expect((await answered).allowed).toBe(true);
    await expect(asked.client.review(podWith(tagged()))).rejects.toThrow(/ECONNREFUSED/);
  });

  test("takes an agent's configuration, and refuses keys that nobody knows", async () => {
    const whole = { store: { lowFreePercent: 20 }, transfer: { connections: 4 } };
    await using _ = await open({ config: { ...whole, access: { verdictSeconds: 60 } } });
    await expect(open({ config: { registry: {} } })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("registry"),
    });
  });

  test("asks no registry that the operator does not name", async () => {
    await using asked = await open({ config: { registries: { allow: ["registry.example.com"] } } });
    const { patch } = await asked.client.review(podWith(tagged(), "a"));
    expect(JSON.stringify(patch)).toContain("left alone (FORBIDDEN)");
    expect(requests).toEqual([]);
  });
});
