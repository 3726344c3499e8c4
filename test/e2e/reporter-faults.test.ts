import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { nodeModelsPath } from "../../src/kubernetes/node-models.ts";
import type { ReporterOptions } from "../../src/kubernetes/reporter/reporter.ts";
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

const eventually = { timeout: 15_000, interval: 10 };
const nodesPath = "/api/v1/nodes";
const leaseKey = `ballast-system/reporter.${nodeName}`;

async function expectLabels(...names: string[]): Promise<void> {
  await expect.poll(() => scene.labels(), eventually).toEqual(names.map(keyOf).sort());
}
async function expectReport(...names: string[]): Promise<void> {
  await expect
    .poll(() => scene.report()?.models.map(({ digest }) => digest), eventually)
    .toEqual(names.map(digestOf));
}
const lease = () => scene.server.objects.get("/apis/coordination.k8s.io/v1/leases", leaseKey);
const events = () => scene.log.map(({ event }) => event);

/** Starts it with one model, and waits until all is told. */
async function begin(options: Partial<ReporterOptions> = {}): Promise<void> {
  scene.show("a");
  await scene.start(options);
  await expectLabels("a");
  await expectReport("a");
}

describe("an agent", () => {
  test("that dies takes its labels with it after the grace, and gets them back", async () => {
    await begin({ agentGraceMs: 1000 });
    await scene.agent.stop();
    await sleep(100);
    expect(scene.labels()).toEqual([keyOf("a")]);
    const writes = scene.server.writes().filter((line) => !line.includes("/leases/"));
    await expectLabels();
    await expect.poll(() => scene.report()?.agentReady, eventually).toBe(false);
    expect(writes.filter((line) => line.includes("/nodemodels"))).toHaveLength(2);
    await scene.agent.start();
    await expectLabels("a");
    await expect.poll(() => scene.report()?.agentReady, eventually).toBe(true);
    expect(events()).toContain("agent lost");
  });

  test("that is back within the grace costs no write", async () => {
    await begin({ agentGraceMs: 10_000 });
    const count = () => scene.server.writes().filter((line) => !line.includes("/leases")).length;
    const before = count();
    await scene.agent.stop();
    await sleep(50);
    await scene.agent.start();
    await expect.poll(events, eventually).toContain("agent silent");
    await expect
      .poll(() => events().filter((event) => event === "agent ready"), eventually)
      .toHaveLength(2);
    await sleep(250);
    expect(count()).toBe(before);
  });

  test.each(["hanging", "starting"] as const)(
    "that is %s while its connections stay is found out",
    async (how) => {
      await begin();
      scene.agent.behave(how);
      await expectLabels();
      expect(events()).toContain("agent silent");
      scene.agent.behave("ready");
      await expectLabels("a");
    },
    20_000,
  );

  test("that is not there at the start leaves labels that cannot be confirmed only for the grace", async () => {
    scene.setLabel(keyOf("a"), "ready");
    scene.setLabel("models.ballast.dev/nonsense", "ready");
    await scene.agent.stop();
    await scene.start({ agentGraceMs: 400 });
    await expectLabels("a");
    await expectLabels();
    await expect
      .poll(() => scene.report(), eventually)
      .toMatchObject({
        agentReady: false,
        models: [],
      });
  });
});

describe("an API server", () => {
  test("that restarts is heard of again, with what changed meanwhile", async () => {
    await begin();
    await scene.server.stop();
    scene.show("b");
    await sleep(300);
    await scene.server.resume();
    await expectLabels("b");
    await expectReport("b");
    await expect.poll(events, eventually).toContain("cluster reached again");
  });

  test("that is away when the reporter starts is waited for", async () => {
    await scene.server.stop();
    scene.show("a");
    await scene.start();
    await sleep(200);
    await scene.server.resume();
    await expectLabels("a");
    await expectReport("a");
    expect(scene.writes("nodes")).toHaveLength(1);
  }, 30_000);

  test("that forgot what happened is listed anew, so that no change is missed", async () => {
    await begin();
    scene.server.dropWatches();
    scene.setLabel(keyOf("a"), null);
    scene.server.compact();
    await expectLabels("a");
    const lists = scene.server.requests.filter(
      ({ method, path }) => `${method} ${path}` === `GET ${nodesPath}`,
    );
    expect(lists.length).toBeGreaterThan(1);
  });

  test("that asks for fewer requests is asked again when it said, and not before", async () => {
    await begin();
    using _ = scene.server.fail({
      match: /^PATCH .*\/nodes\//,
      status: 429,
      retryAfterSeconds: 1,
      times: 1,
    });
    scene.show("a", "b");
    await expectLabels("a", "b");
    const [, refused, done] = scene.server.requests.filter(
      ({ method, path }) => method === "PATCH" && path.includes("/nodes/"),
    );
    expect([refused?.status, done?.status]).toEqual([429, 200]);
    expect((done?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThan(990);
  });

  test("that fails for a while is tried until it works", async () => {
    await begin();
    using _ = scene.server.fail({ match: /^(?:PATCH|POST|PUT)/, status: 500, times: 8 });
    scene.show("b");
    await expectLabels("b");
    await expectReport("b");
    expect(scene.server.requests.filter(({ status }) => status === 500)).toHaveLength(8);
  }, 30_000);

  test("that takes the token no more gets the one that is in the file by now", async () => {
    await begin();
    await scene.server.rotateToken();
    scene.server.dropWatches();
    scene.show("b");
    await expectLabels("b");
    await expectReport("b");
    scene.setLabel(keyOf("b"), null);
    await expectLabels("b");
    expect(scene.server.requests.some(({ status }) => status === 401)).toBe(true);
  });

  test("that does not know NodeModels keeps no label from being written", async () => {
    scene.server.absent.add(nodeModelsPath);
    scene.show("a");
    await scene.start();
    await expectLabels("a");
    await expect.poll(events, eventually).toContain("cluster out of reach");
    expect(scene.writes("nodemodels")).toEqual([]);
    scene.server.absent.clear();
    await expectReport("a");
  }, 30_000);

  test("whose NodeModels lack fields of ours is not written to again and again", async () => {
    scene.server.pruning.set(nodeModelsPath, (content) => {
      const status = content["status"] as Record<string, unknown> | undefined;
      if (status === undefined) return content;
      const { readyModels: _ready, agentVersion: _version, ...known } = status;
      return { ...content, status: known };
    });
    await begin();
    const writes = scene.writes("nodemodels").length;
    await sleep(400);
    expect(scene.writes("nodemodels")).toHaveLength(writes);
    expect(scene.report()).not.toHaveProperty("readyModels");
  });

  test("that refuses labels gets no Lease, so that somebody else removes what may be wrong", async () => {
    await begin();
    await expect.poll(lease, eventually).toBeDefined();
    const fault = { match: /^PATCH .*\/nodes\//, status: 403, reason: "Forbidden" };
    const refusing = scene.server.fail(fault);
    scene.show("b");
    await expectReport("b");
    await expect.poll(events, eventually).toContain("labels failed");
    const renewed = JSON.stringify(lease());
    await sleep(5 * quick.leaseMs);
    expect(JSON.stringify(lease())).toBe(renewed);
    refusing[Symbol.dispose]();
    await expectLabels("b");
    await expect.poll(() => JSON.stringify(lease()), eventually).not.toBe(renewed);
  });
});

describe("a Node", () => {
  test("that is deleted takes its NodeModels with it; of a new one of that name all is told", async () => {
    await begin();
    await expect.poll(lease, eventually).toBeDefined();
    scene.server.objects.remove(nodesPath, nodeName);
    await expect.poll(() => scene.report(), eventually).toBeUndefined();
    scene.show("a", "b");
    await sleep(300);
    expect(scene.server.objects.get(nodeModelsPath, nodeName)).toBeUndefined();
    expect(lease()).toBeUndefined();
    scene.addNode();
    await expectLabels("a", "b");
    await expectReport("a", "b");
    await expect.poll(lease, eventually).toBeDefined();
  });

  test("with 2,000 models has 64 labels and a report of the newest 500", async () => {
    const models = Array.from({ length: 2000 }, (_, at) =>
      shownModel(`m${at}`, { lastUsed: new Date(at * 1000).toISOString() }),
    );
    scene.show(...models);
    await scene.start({ agentGraceMs: 10_000 });
    await expect.poll(() => scene.labels(), eventually).toHaveLength(64);
    await expect.poll(() => scene.report()?.omitted, eventually).toBe(1500);
    expect(scene.report()?.models[0]?.digest).toBe(digestOf("m1999"));
    expect(scene.labels()).toContain(keyOf("m1999"));
    expect(scene.writes("nodes")).toHaveLength(1);
  });
});
