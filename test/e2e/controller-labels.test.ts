import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { renewLease } from "../../src/kubernetes/api/leases.ts";
import { createControllerMetrics } from "../../src/kubernetes/controller/metrics.ts";
import { clearStaleNodes } from "../../src/kubernetes/controller/stale-reporters.ts";
import { labelPrefix, reporterLeaseName } from "../../src/kubernetes/names.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const nodes = "/api/v1/nodes";
const leases = "/apis/coordination.k8s.io/v1/leases";
const namespace = "ballast-system";
const warm = `${labelPrefix}aa`;
const staleMs = 1200;

interface Scene extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly events: string[];
  readonly outages: string[];
  readonly addNode: (name: string, labels?: Record<string, string>) => void;
  labelsOf(name: string): string[];
  renew(name: string): Promise<void>;
  /** Renews until disposed. */
  keepAlive(name: string): AsyncDisposable;
  readonly metrics: () => Promise<string>;
}

async function openScene(
  prepare: (scene: Omit<Scene, typeof Symbol.asyncDispose>) => void,
): Promise<Scene> {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startFakeApiServer());
  const api: ClusterApi = opened.use(
    createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" }),
  );
  const stop = new AbortController();
  const [events, outages]: [string[], string[]] = [[], []];
  const metrics = createControllerMetrics();
  const renew = (node: string) =>
    renewLease(api, { namespace, name: reporterLeaseName(node), holder: node, seconds: 0 });
  const scene = {
    server,
    events,
    outages,
    renew,
    addNode: (name: string, labels: Record<string, string> = { [warm]: "ready", own: "1" }) =>
      void server.objects.create(nodes, { metadata: { name, labels } }),
    labelsOf: (name: string) => Object.keys(server.objects.get(nodes, name)?.metadata.labels ?? {}),
    keepAlive: (name: string) => {
      const end = new AbortController();
      const running = (async () => {
        for (; !end.signal.aborted; await sleep(150)) await renew(name).catch(() => undefined);
      })();
      return {
        [Symbol.asyncDispose]: async () => {
          end.abort();
          await running;
        },
      };
    },
    metrics: async () => (await metrics.describe()).text,
  };
  prepare(scene);
  const running = clearStaleNodes({
    api,
    metrics,
    signal: stop.signal,
    log: (event, facts) => events.push(`${event} ${JSON.stringify(facts)}`),
    onOutage: (what, error) => outages.push(`${what} ${error === undefined ? "back" : "out"}`),
    namespace,
    staleMs,
  });
  opened.defer(async () => {
    stop.abort();
    await running;
  });
  const owned = opened.move();
  return { ...scene, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const patches = (server: FakeApiServer) =>
  server.writes().filter((each) => each.startsWith(`PATCH ${nodes}`));
const soon = { timeout: 10_000, interval: 20 };

test("a silent node loses the labels of models in one write, and none before a full period", async () => {
  await using scene = await openScene(({ addNode }) => {
    addNode("dead", { [warm]: "ready", [`${labelPrefix}bb`]: "ready", own: "1" });
    addNode("bare", { own: "1" });
  });
  const start = performance.now();
  await expect.poll(() => scene.labelsOf("dead"), soon).toEqual(["own"]);
  expect(performance.now() - start).toBeGreaterThan(staleMs - 50);
  await sleep(2 * staleMs);
  expect(scene.server.writes()).toEqual([`PATCH ${nodes}/dead`]);
  expect(await scene.metrics()).toContain("ballast_controller_labels_removed_total 2");
});

test("a living one keeps them, and dies when it is heard of no more", async () => {
  await using scene = await openScene(({ addNode }) => addNode("a"));
  const life = scene.keepAlive("a");
  await sleep(3 * staleMs);
  expect(scene.labelsOf("a")).toEqual([warm, "own"]);
  await life[Symbol.asyncDispose]();
  await expect.poll(() => scene.labelsOf("a"), soon).toEqual(["own"]);
  await expect.poll(scene.metrics, soon).toContain("ballast_controller_stale_nodes 1");
});

test("a label that is put on a node without reporter goes after a period of its own", async () => {
  await using scene = await openScene(({ addNode }) => addNode("a", {}));
  await sleep(2 * staleMs);
  const put = performance.now();
  scene.server.objects.update(
    nodes,
    "a",
    { metadata: { name: "a", labels: { [warm]: "x" } } },
    "main",
  );
  await expect.poll(() => scene.labelsOf("a"), soon).toEqual([]);
  expect(performance.now() - put).toBeGreaterThan(staleMs - 50);
});

test("a watch that shows nothing does not make the living look dead", async () => {
  await using scene = await openScene(({ addNode, server }) => {
    addNode("a");
    server.fail({ match: /WATCH .*leases/, delayMs: 60_000 });
  });
  await using _ = scene.keepAlive("a");
  await sleep(3 * staleMs);
  expect(scene.labelsOf("a")).toEqual([warm, "own"]);
});

test("after an outage of the API server reporters have a full period to be heard of", async () => {
  await using scene = await openScene(({ addNode }) => addNode("a"));
  await scene.renew("a");
  await sleep(300);
  await scene.server.stop();
  await sleep(2 * staleMs);
  await scene.server.resume();
  await expect.poll(() => scene.outages, soon).toContain("leases back");
  await sleep(staleMs / 2);
  await using _ = scene.keepAlive("a");
  await sleep(2 * staleMs);
  expect(scene.labelsOf("a")).toEqual([warm, "own"]);
  expect(patches(scene.server)).toEqual([]);
});

test("a node that changes at that moment is looked at again", async () => {
  await using scene = await openScene(({ addNode, server }) => {
    addNode("a");
    server.fail({ match: /PATCH .*nodes/, status: 409, reason: "Conflict", times: 2 });
  });
  await expect.poll(() => scene.labelsOf("a"), soon).toEqual(["own"]);
  expect(patches(scene.server)).toHaveLength(3);
});

test("it goes on where writing is refused, and says so", async () => {
  await using scene = await openScene(({ addNode, server }) => {
    addNode("a");
    server.fail({ match: /PATCH .*nodes/, status: 403, reason: "Forbidden", times: 1 });
  });
  await expect.poll(() => scene.events.length, soon).toBe(2);
  expect(scene.labelsOf("a")).toEqual(["own"]);
  expect(scene.events).toEqual([
    expect.stringMatching(/^labels stay for now .*FORBIDDEN/),
    expect.stringMatching(/^labels removed .*"node":"a"/),
  ]);
});

test("the Lease of a node that is gone is deleted, others of the namespace are not", async () => {
  await using scene = await openScene(({ addNode, server }) => {
    addNode("a", {});
    for (const name of ["reporter.a", "reporter.gone", "ballast-controller"])
      server.objects.create(leases, { metadata: { name, namespace }, spec: {} });
  });
  await expect
    .poll(() => scene.server.objects.list(leases).map(({ metadata }) => metadata.name), soon)
    .toEqual(["reporter.a", "ballast-controller"]);
  await sleep(staleMs);
  expect(scene.server.writes().filter((each) => each.startsWith("DELETE"))).toHaveLength(1);
});

test("five hundred nodes that die at once cost one write each", async () => {
  await using scene = await openScene(({ addNode }) => {
    for (let n = 0; n < 500; n++) addNode(`n${n}`);
  });
  await expect
    .poll(
      () => scene.server.objects.list(nodes).every(({ metadata }) => !metadata.labels?.[warm]),
      soon,
    )
    .toBe(true);
  await sleep(staleMs);
  expect(scene.server.writes()).toHaveLength(500);
});
