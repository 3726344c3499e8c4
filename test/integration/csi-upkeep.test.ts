import { mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { LeaseDocument } from "../../src/agent/api/documents.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { type CsiScene, modelReference, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";

const often = { patience: { reconcileMs: 50 } };
const never = { patience: { reconcileMs: 3_600_000 } };

describe.skipIf(mountsMissing())("a release that the agent did not acknowledge", () => {
  test("is tried again until it does, while unpublish was answered long before", async () => {
    await using scene = await openCsiScene();
    await scene.start(never);
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    await scene.agent.stop();
    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await scene.leftovers()).toEqual({ ...nothingLeft, leases: 1, states: 1 });
    await scene.agent.start();
    await eventually(async () => (await scene.states()).size === 0);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("is kept over a restart of the plugin", async () => {
    await using scene = await openCsiScene();
    {
      await using _plugin = await scene.start(never);
      const volume = scene.volume();
      await scene.kubelet.mount(volume);
      scene.agent.failReleases(true);
      expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    }
    expect(scene.agent.leases.size).toBe(1);
    scene.agent.failReleases(false);
    await scene.start(never);
    await eventually(async () => (await scene.states()).size === 0);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("is made up for before the same target is published again", async () => {
    await using scene = await openCsiScene();
    await scene.start({ patience: { retryMs: 3_600_000, reconcileMs: 3_600_000 } });
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    scene.agent.failReleases(true);
    await scene.kubelet.unpublish(volume);
    scene.agent.failReleases(false);
    const other = "registry.example.com/team/other:v2";
    await scene.agent.addModel(other, { "a.json": "{}" });
    const again = { ...volume, attributes: { reference: other } };
    expect(await scene.kubelet.publish(again)).toMatchObject({ code: status.OK });
    expect([...scene.agent.leases.values()].map(({ reference }) => reference)).toEqual([other]);
    await scene.kubelet.deletePod(again);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

describe.skipIf(mountsMissing())("the comparison of leases with mounts and pods", () => {
  test("ends a lease whose mount and pod are gone, the second time it sees that", async () => {
    await using scene = await openCsiScene();
    const lost = leaseFor(scene, "pods/gone/volumes/kubernetes.io~csi/model/mount");
    scene.agent.leases.set(lost.id, lost);
    await scene.start(often);
    await eventually(() => scene.agent.requests.includes(`release ${lost.id}`));
    const before = scene.agent.requests.slice(
      0,
      scene.agent.requests.indexOf(`release ${lost.id}`),
    );
    expect(before).toEqual(["leases", "leases"]);
    expect(scene.agent.leases.size).toBe(0);
  });

  test("leaves volumes of living pods, waiting ones too, and what others lease", async () => {
    await using scene = await openCsiScene();
    const foreign = [
      { ...leaseFor(scene, "pods/x/volumes/kubernetes.io~csi/m/mount"), kind: "prefetch" as const },
      { ...leaseFor(scene, "pods/y/volumes/kubernetes.io~csi/m/mount"), id: "0".repeat(64) },
      { ...leaseFor(scene, "x"), target: "/mnt/by-hand", id: digestHex(digestOf("/mnt/by-hand")) },
      { ...leaseFor(scene, "x"), target: null, id: "1".repeat(64) },
    ];
    for (const lease of foreign) scene.agent.leases.set(lease.id, lease);
    await scene.start(often);
    const mounted = scene.volume();
    await scene.kubelet.mount(mounted);
    scene.agent.behave({ kind: "pulling", progress: {} });
    const waiting = scene.volume();
    await scene.kubelet.publish(waiting);
    await awaitRounds(scene, 4);
    expect(scene.agent.leases.size).toBe(foreign.length + 2);
    expect(scene.agent.requests.filter((line) => line.startsWith("release"))).toEqual([]);
  });

  test("ends volumes of pods that went while the plugin was not there, after a reboot too", async () => {
    await using scene = await openCsiScene();
    const volume = scene.volume();
    {
      await using _plugin = await scene.start(never);
      await scene.kubelet.mount(volume);
      // As a reboot does: mounts are gone, and so is the pod.
      for (const { mountPoint } of await scene.mounts()) run("umount", mountPoint);
      await rm(join(scene.kubelet.root, "pods", volume.pod.uid), { recursive: true });
    }
    // The agent lost its leases as well; the plugin's own state tells.
    scene.agent.leases.clear();
    await scene.start(often);
    await eventually(async () => (await scene.states()).size === 0);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("leaves a mount alone whose pod folder is a link's, as a kubelet's root may be", async () => {
    await using scene = await openCsiScene();
    const root = join(scene.path, "linked");
    await symlink(scene.kubelet.root, root);
    const target = join(root, "loose/mount");
    await mkdir(target, { recursive: true });
    run("mount", "--bind", scene.agent.storeRoot, target);
    const id = digestHex(digestOf(target));
    const lease = { ...leaseFor(scene, "x"), id, target, subject: null };
    scene.agent.leases.set(id, lease);
    await scene.start({ ...often, kubeletRoot: root });
    await awaitRounds(scene, 4);
    expect(scene.agent.leases.size).toBe(1);
    expect(await scene.mounts()).toHaveLength(1);
  });

  test("leases a volume again that is mounted and has lost its lease", async () => {
    await using scene = await openCsiScene();
    await scene.start(often);
    const attributes = { reference: modelReference, include: "*.json,weights/" };
    const volume = scene.volume({ attributes });
    await scene.kubelet.mount(volume);
    const [lease] = scene.agent.leases.values();
    scene.agent.leases.clear();
    await eventually(() => scene.agent.leases.size === 1);
    expect([...scene.agent.leases.values()]).toEqual([{ ...lease, since: expect.any(String) }]);
    await awaitRounds(scene, 3);
    const asked = scene.agent.requests.filter((line) => line !== "leases");
    expect(asked).toEqual([`acquire ${lease?.id}`, `retain ${lease?.id}`]);
    expect(scene.log.filter((line) => line.includes('"leased-again"'))).toHaveLength(1);
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("leaves a mount that the agent will not lease again, and says so in each round", async () => {
    await using scene = await openCsiScene();
    await scene.start(often);
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    scene.agent.forgetModel(modelReference);
    scene.agent.leases.clear();
    await awaitRounds(scene, 4);
    const said = scene.log.filter((line) => line.includes('"lease-missing"'));
    expect(said.length).toBeGreaterThan(1);
    expect(said.length).toBeLessThanOrEqual(
      scene.agent.requests.filter((line) => line === "leases").length,
    );
    expect(said[0]).toContain('"code":"NOT_FOUND"');
    expect(await scene.mounts()).toHaveLength(1);
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("begins when the agent is there at last", async () => {
    await using scene = await openCsiScene();
    const lost = leaseFor(scene, "pods/gone/volumes/kubernetes.io~csi/model/mount");
    scene.agent.leases.set(lost.id, lost);
    await scene.agent.stop();
    await scene.start(often);
    await scene.agent.start();
    await eventually(() => scene.agent.leases.size === 0);
    expect(scene.agent.requests).toContain(`release ${lost.id}`);
  });
});

function leaseFor(scene: CsiScene, path: string): LeaseDocument {
  const target = join(scene.kubelet.root, path);
  return {
    id: digestHex(digestOf(target)),
    kind: "volume",
    reference: modelReference,
    name: modelReference,
    digest: digestOf(target),
    target,
    subject: null,
    since: new Date(0).toISOString(),
  };
}

async function awaitRounds(scene: CsiScene, rounds: number): Promise<void> {
  const count = () => scene.agent.requests.filter((line) => line === "leases").length;
  const until = count() + rounds;
  await eventually(() => count() >= until);
}

/** Waits for something that no event tells; the test's own limit ends it. */
async function eventually(probe: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await probe())) await delay(10);
}
