import { request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelDocument } from "../../src/agent/api/documents.ts";
import { digestOf } from "../../src/core/digest.ts";
import { nodeModelsPath } from "../../src/kubernetes/node-models.ts";
import { shownModel } from "../support/fake-status-agent.ts";
import {
  keyOf,
  nodeName,
  openReporterScene,
  quick,
  type ReporterScene,
} from "../support/reporter-scene.ts";

let scene: ReporterScene;

beforeEach(async () => {
  scene = await openReporterScene(shownModel);
});
afterEach(() => scene[Symbol.asyncDispose]());

const eventually = { timeout: 10_000, interval: 10 };
const forged = `models.ballast.dev/${"f".repeat(40)}`;
const leaseKey = `ballast-system/reporter.${nodeName}`;

async function expectLabels(...names: string[]): Promise<void> {
  await expect.poll(() => scene.labels(), eventually).toEqual(names.map(keyOf).sort());
}
const node = () => scene.server.objects.get("/api/v1/nodes", nodeName);
const lease = () => scene.server.objects.get("/apis/coordination.k8s.io/v1/leases", leaseKey);
const events = () => scene.log.map(({ event }) => event);

async function get(port: number, path: string): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  request({ host: "127.0.0.1", port, path, agent: false }, (answer) => {
    text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
  })
    .on("error", reject)
    .end();
  return promise;
}

function pulling(hereBytes: number): ModelDocument {
  const name = "registry.example.com/a";
  const counts = { totalBytes: 1000, hereBytes, bytesPerSecond: hereBytes, secondsLeft: null };
  const progress = { name, state: "pulling" as const, ...counts };
  return shownModel("a", { whole: false, state: "pulling", bytes: 0, progress });
}

describe("a reporter", () => {
  test("labels its Node with what comes, and takes back what goes, one write for each", async () => {
    await scene.start();
    scene.show("a", "b");
    await expectLabels("a", "b");
    scene.show("b");
    await expectLabels("b");
    expect(scene.writes("nodes")).toEqual(Array(2).fill(`PATCH /api/v1/nodes/${nodeName}`));
    expect(node()?.metadata.labels).toMatchObject({ "kubernetes.io/hostname": nodeName });
  });

  test("tells what its node has in an object that the Node owns", async () => {
    await scene.start();
    scene.show("a");
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
    const object = scene.server.objects.get(nodeModelsPath, nodeName);
    expect(object?.metadata["ownerReferences"]).toEqual([
      { apiVersion: "v1", kind: "Node", name: nodeName, uid: node()?.metadata.uid },
    ]);
    expect(scene.report()).toMatchObject({
      agentReady: true,
      agentVersion: "1.2.3",
      reportedAt: expect.stringMatching(/^20.*Z$/),
      models: [{ digest: digestOf("a"), state: "ready" }],
    });
  });

  test("writes nothing where nothing changes, also after a restart", async () => {
    scene.show("a");
    await scene.start({ pace: { ...quick, leaseMs: 3_600_000 } });
    await expectLabels("a");
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
    await expect.poll(lease, eventually).toBeDefined();
    const writes = scene.server.writes();
    scene.show("a");
    scene.setLabel("zone", "x");
    await sleep(500);
    expect(scene.server.writes()).toEqual(writes);
    await scene.start({ pace: { ...quick, leaseMs: 3_600_000 } });
    await sleep(300);
    const leases = (line: string) => line.includes("/leases/");
    expect(
      scene.server
        .writes()
        .slice(writes.length)
        .filter((line) => !leases(line)),
    ).toEqual([]);
  });

  test("writes a burst of changes as one", async () => {
    await scene.start({ pace: { ...quick, reportGapMs: 600, labelGapMs: 600 } });
    scene.show("a");
    await expectLabels("a");
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
    const before = { nodes: scene.writes("nodes").length, own: scene.writes("nodemodels").length };
    const names = ["a"];
    for (const name of ["b", "c", "d", "e"]) {
      names.push(name);
      scene.show(...names);
      await sleep(10);
    }
    await expectLabels(...names);
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(5);
    expect(scene.writes("nodes").length - before.nodes).toBeLessThanOrEqual(2);
    expect(scene.writes("nodemodels").length - before.own).toBeLessThanOrEqual(2);
  });

  test("tells how far a pull is more seldom than what came", async () => {
    await scene.start();
    scene.show(pulling(1));
    await expect.poll(() => scene.report()?.models[0]?.bytes, eventually).toBe(1);
    const before = scene.writes("nodemodels").length;
    const begun = performance.now();
    for (let bytes = 2; bytes < 25; bytes++) {
      scene.show(pulling(bytes));
      await sleep(10);
    }
    const tookMs = performance.now() - begun;
    await expect.poll(() => scene.report()?.models[0]?.bytes, eventually).toBe(24);
    const writes = scene.writes("nodemodels").length - before;
    expect(writes).toBeLessThanOrEqual(1 + Math.ceil(tookMs / quick.progressGapMs));
  });

  test("removes labels that it does not know before it is ready", async () => {
    scene.setLabel(forged, "ready");
    scene.setLabel("models.ballast.dev/nonsense", "ready");
    scene.show("a");
    await scene.start();
    await expectLabels("a");
    expect(scene.writes("nodes").length).toBeLessThanOrEqual(2);
  });

  test("has no labels with labels off, removes those that are there, and still reports", async () => {
    scene.setLabel(keyOf("a"), "ready");
    scene.show("a");
    await scene.start({ labels: "off" });
    await expectLabels();
    await expect.poll(() => scene.report()?.readyModels, eventually).toBe(1);
    expect(scene.agent.watchers()).toEqual(["?watch=true"]);
  });

  test("mends labels that were removed or forged by hand", async () => {
    scene.show("a");
    await scene.start();
    await expectLabels("a");
    scene.setLabel(keyOf("a"), null);
    await expectLabels("a");
    scene.setLabel(forged, "ready");
    await expect.poll(() => scene.labels(), eventually).toEqual([keyOf("a")]);
    scene.setLabel(keyOf("a"), "maybe");
    await expect.poll(() => node()?.metadata.labels?.[keyOf("a")], eventually).toBe("ready");
    expect(events()).toContain("labels mended");
  });

  test("does not fight over labels: it mends more and more slowly", async () => {
    scene.show("a");
    await scene.start();
    await expectLabels("a");
    const before = scene.writes("nodes").length;
    const end = performance.now() + 1200;
    while (performance.now() < end) {
      if (scene.labels().length > 0) scene.setLabel(keyOf("a"), null);
      await sleep(5);
    }
    // With 20 ms between two there were 60.
    expect(scene.writes("nodes").length - before).toBeLessThan(12);
    scene.show("b");
    await expectLabels("b");
  });

  test("makes its object anew when somebody deletes it, and right when somebody writes to it", async () => {
    scene.show("a");
    await scene.start();
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
    scene.server.objects.remove(nodeModelsPath, nodeName);
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
    const found = scene.server.objects.get(nodeModelsPath, nodeName);
    const content = { ...found, status: { models: [], agentReady: true, reportedAt: "never" } };
    scene.server.objects.update(nodeModelsPath, nodeName, content, "status");
    await expect.poll(() => scene.report()?.models, eventually).toHaveLength(1);
  });

  test("withdraws a model that is about to go once its label is gone, and not before", async () => {
    scene.show("a", "b");
    await scene.start();
    await expectLabels("a", "b");
    using _ = scene.server.fail({ match: /^PATCH .*nodes/, delayMs: 150, times: 1 });
    scene.show(shownModel("a", { leaving: true }), "b");
    await expect.poll(() => scene.agent.withdrawn.length, eventually).toBe(1);
    expect(scene.labels()).toEqual([keyOf("b")]);
    const patch = scene.server.requests.findLast(
      ({ method, path }) => method === "PATCH" && path.includes("/nodes/"),
    );
    expect(scene.agent.withdrawn[0]).toMatchObject({ digest: digestOf("a") });
    expect(scene.agent.withdrawn[0]?.at).toBeGreaterThan((patch?.at ?? Infinity) + 140);
    scene.show("a", "b");
    await expectLabels("a", "b");
  });

  test("withdraws at once a model whose label stays for another repository's, or that has none", async () => {
    const digest = digestOf("a");
    scene.show("a", shownModel("other", { digest }), shownModel("small", { bytes: 1 }));
    await scene.start();
    await expectLabels("a");
    scene.show(
      shownModel("a", { leaving: true }),
      shownModel("other", { digest }),
      shownModel("small", { bytes: 1, leaving: true }),
    );
    await expect.poll(() => scene.agent.withdrawn.length, eventually).toBe(2);
    expect(scene.labels()).toEqual([keyOf("a")]);
    expect(scene.writes("nodes")).toHaveLength(1);
  });

  test("keeps a Lease that the Node owns, for as long as it works", async () => {
    await scene.start();
    await expect.poll(lease, eventually).toMatchObject({
      metadata: { ownerReferences: [{ kind: "Node", uid: node()?.metadata.uid }] },
      spec: { leaseDurationSeconds: 1, renewTime: expect.any(String) },
    });
    const renewed = () => JSON.stringify(lease()?.["spec"]);
    const first = renewed();
    await expect.poll(renewed, eventually).not.toBe(first);
    await scene.stop();
    const last = renewed();
    await sleep(200);
    expect(renewed()).toBe(last);
  });

  test("leaves labels, object and Lease where it is stopped", async () => {
    scene.show("a");
    await scene.start();
    await expectLabels("a");
    await expect.poll(lease, eventually).toBeDefined();
    await scene.stop();
    expect(scene.labels()).toEqual([keyOf("a")]);
    expect(scene.report()).toBeDefined();
    expect(events().at(-1)).toBe("reporter stops");
  });

  test("serves its metrics with the agent's behind them, and is ready when labels are right", async () => {
    scene.show("a");
    const { port } = await scene.start();
    await expectLabels("a");
    await expect.poll(async () => (await get(port, "/readyz")).status, eventually).toBe(200);
    expect(await get(port, "/healthz")).toEqual({ status: 200, body: "ok\n" });
    const sample = 'ballast_reporter_api_writes_total{object="NodeModels",result="done"} 2';
    const metrics = async () => (await get(port, "/metrics")).body;
    await expect.poll(metrics, eventually).toContain(sample);
    const body = await metrics();
    expect(body).toContain("ballast_reporter_labels 1\n");
    expect(body).toContain("ballast_reporter_agent_ready 1\n");
    expect(body).toContain("ballast_models 1\n");
    expect(body.match(/# EOF/g)).toHaveLength(1);
    expect(body).toMatch(/# EOF\n$/);
    await scene.agent.stop();
    await expect.poll(metrics, eventually).toContain("ballast_reporter_agent_ready 0\n");
    expect(await metrics()).toMatch(/# EOF\n$/);
  });
});
