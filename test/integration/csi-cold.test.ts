import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { ErrorDocument } from "../../src/agent/api/documents.ts";
import { modelReference, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing } from "../support/disk-mounts.ts";

const gibi = 1024 ** 3;
const pulling = {
  kind: "pulling",
  progress: {
    totalBytes: 140 * gibi,
    hereBytes: 61 * gibi,
    bytesPerSecond: 1.9 * gibi,
    secondsLeft: 42,
  },
} as const;
const text = `pulling ${modelReference}: 43 % (61 of 140 GiB), 1.9 GiB/s, about 42 s left`;

describe.skipIf(mountsMissing())("a volume whose model is not here yet", () => {
  test("is answered with progress first, then held until the model is here", async () => {
    await using scene = await openCsiScene();
    await scene.start({ patience: { firstAnswerMs: 50 } });
    scene.agent.behave(pulling);
    const volume = scene.volume();
    expect(await scene.kubelet.publish(volume)).toMatchObject({
      code: status.ABORTED,
      message: text,
    });
    expect(scene.kubelet.events).toEqual([
      `MountVolume.SetUp failed for volume "model" : rpc error: code = Aborted desc = ${text}`,
    ]);
    const second = scene.kubelet.publish(volume);
    await scene.agent.awaitAsked(2);
    // Far longer than the first call was.
    await delay(300);
    // The pull goes on by itself under the lease, which nobody gave up.
    expect(scene.agent.requests.filter((line) => line.startsWith("release"))).toEqual([]);
    scene.agent.behave({ kind: "ready" });
    expect(await second).toMatchObject({ code: status.OK });
    expect(await scene.mounts()).toHaveLength(1);
  });

  test("is held to the call's own deadline less a margin, not beyond", async () => {
    await using scene = await openCsiScene({ deadlineMs: 2000 });
    await scene.start({ patience: { marginMs: 1200, firstAnswerMs: 100 } });
    scene.agent.behave(pulling);
    const volume = scene.volume();
    const codes = [await scene.kubelet.publish(volume), await scene.kubelet.publish(volume)];
    expect(codes.map(({ code }) => code)).toEqual([status.ABORTED, status.ABORTED]);
    await scene.agent.awaitWaiting(0);
  });

  test("is answered even by an agent that says nothing", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    scene.agent.behave({ kind: "silent" });
    expect(await scene.kubelet.publish(scene.volume())).toMatchObject({
      code: status.ABORTED,
      message: `asking for ${modelReference}`,
    });
  });

  test("of a hundred pods is one volume each, and all of them come", async () => {
    await using scene = await openCsiScene();
    // On a machine that is busy a hundred releases take a while.
    await scene.start({ patience: { releaseMs: 30_000, agentMs: 30_000 } });
    scene.agent.behave(pulling);
    const volumes = Array.from({ length: 100 }, () => scene.volume());
    const first = await Promise.all(volumes.map((volume) => scene.kubelet.publish(volume)));
    expect(new Set(first.map(({ code }) => code))).toEqual(new Set([status.ABORTED]));
    const held = volumes.map((volume) => scene.kubelet.publish(volume));
    await scene.agent.awaitAsked(200);
    scene.agent.behave({ kind: "ready" });
    const second = await Promise.all(held);
    expect(new Set(second.map(({ code }) => code))).toEqual(new Set([status.OK]));
    expect(await scene.mounts()).toHaveLength(100);
    await Promise.all(volumes.map((volume) => scene.kubelet.deletePod(volume)));
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("whose pod is deleted in the first call is unpublished after it", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    scene.agent.behave(pulling);
    const volume = scene.volume();
    const first = scene.kubelet.publish(volume);
    await scene.agent.awaitAsked(1);
    const deleted = scene.kubelet.deletePod(volume);
    expect(await first).toMatchObject({ code: status.ABORTED });
    expect(await deleted).toMatchObject([{ code: status.OK }]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("ends the held call at once when it is unpublished in the meantime", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    scene.agent.behave(pulling);
    const volume = scene.volume();
    await scene.kubelet.publish(volume);
    const held = scene.kubelet.publish(volume);
    await scene.agent.awaitAsked(2);
    expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
    expect(await held).toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringContaining("is being unpublished"),
    });
    // The model comes too late: nothing may be mounted any more.
    scene.agent.behave({ kind: "ready" });
    expect(await scene.mounts()).toEqual([]);
    expect((await scene.states()).size).toBe(0);
    expect(scene.agent.leases.size).toBe(0);
  });

  test("stops waiting when the kubelet hangs up, and keeps its lease", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    scene.agent.behave(pulling);
    const volume = scene.volume();
    await scene.kubelet.publish(volume);
    const kubelet = new AbortController();
    const held = scene.kubelet.publish(volume, { signal: kubelet.signal });
    await scene.agent.awaitAsked(2);
    kubelet.abort();
    expect(await held).toMatchObject({ code: status.CANCELLED });
    await scene.agent.awaitWaiting(0);
    expect(scene.agent.leases.size).toBe(1);
    scene.agent.behave({ kind: "ready" });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
  });

  test("that two calls wait for at once is mounted once", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    scene.agent.behave(pulling);
    const volume = scene.volume();
    await scene.kubelet.publish(volume);
    const held = [scene.kubelet.publish(volume), scene.kubelet.publish(volume)];
    await scene.agent.awaitAsked(3);
    scene.agent.behave({ kind: "ready" });
    expect(await Promise.all(held)).toMatchObject([{ code: status.OK }, { code: status.OK }]);
    expect(await scene.mounts()).toHaveLength(1);
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

describe.skipIf(mountsMissing())("an agent's failure", () => {
  const failures = [
    ["NOT_FOUND", "no such tag", status.NOT_FOUND],
    ["UNAUTHORIZED", "registry.example.com wants a login", status.UNAUTHENTICATED],
    ["FORBIDDEN", "not for this namespace", status.PERMISSION_DENIED],
    ["INVALID_MANIFEST", "no model", status.FAILED_PRECONDITION],
    ["REGISTRY_UNAVAILABLE", "registry.example.com is down", status.UNAVAILABLE],
    ["NO_SPACE", "140 GiB are needed, 12 GiB are free", status.RESOURCE_EXHAUSTED],
    ["SOMETHING_NEWER", "from a newer agent", status.INTERNAL],
  ] as const;

  test.each(failures)("%s is told, and leaves nothing but what is tried again", async (...row) => {
    const [code, message, expected] = row;
    await using scene = await openCsiScene();
    await scene.start();
    for (const as of ["event", "answer"] as const) {
      const error: ErrorDocument = { code, message, hint: "do this" };
      scene.agent.behave({ kind: "failed", error, as });
      const volume = scene.volume();
      const known = code === "SOMETHING_NEWER" ? "AGENT_FAILED" : code;
      expect(await scene.kubelet.publish(volume)).toMatchObject({
        code: expected,
        message: `${known}: ${message}; do this`,
      });
      // After a final answer a kubelet does not unpublish: the lease is gone by then.
      await scene.kubelet.deletePod(volume);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    }
  });

  test("does not say what could steer a terminal, nor more than an Event holds", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const error = { code: "NOT_FOUND", message: `a\u001b[2Jb\n${"x".repeat(5000)}`, hint: null };
    scene.agent.behave({ kind: "failed", error, as: "event" });
    const { message } = await scene.kubelet.publish(scene.volume());
    expect(message).toMatch(/^NOT_FOUND: a \[2Jb x+\.\.\.$/);
    expect(message.length).toBeLessThan(1000);
  });

  test("that ends is followed by success with the next call", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const error = { code: "REGISTRY_UNAVAILABLE", message: "down", hint: null };
    scene.agent.behave({ kind: "failed", error, as: "event" });
    const volume = scene.volume();
    await scene.kubelet.mount(volume, 3);
    scene.agent.behave({ kind: "ready" });
    const attempts = await scene.kubelet.mount(volume);
    expect(attempts).toMatchObject([{ code: status.OK, gapMs: 2000 }]);
  });
});

describe.skipIf(mountsMissing())("an agent that is away", () => {
  test("is waited for, and then the call goes on", async () => {
    await using scene = await openCsiScene();
    await scene.start({ patience: { agentMs: 20_000 } });
    await scene.agent.stop();
    const call = scene.kubelet.publish(scene.volume());
    await scene.agent.start();
    expect(await call).toMatchObject({ code: status.OK });
  });

  test("for too long is told as such, and nothing is left behind", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    await scene.agent.stop();
    const volume = scene.volume();
    expect(await scene.kubelet.publish(volume)).toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringContaining("AGENT_UNAVAILABLE"),
    });
    await scene.kubelet.deletePod(volume);
    expect(await scene.mounts()).toEqual([]);
  });

  test("during a held call is waited for as well", async () => {
    await using scene = await openCsiScene();
    await scene.start({ patience: { agentMs: 20_000 } });
    scene.agent.behave(pulling);
    const volume = scene.volume();
    await scene.kubelet.publish(volume);
    const held = scene.kubelet.publish(volume);
    await scene.agent.awaitAsked(2);
    await scene.agent.stop();
    scene.agent.behave({ kind: "ready" });
    await scene.agent.start();
    expect(await held).toMatchObject({ code: status.OK });
  });
});
