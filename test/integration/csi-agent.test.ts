import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { socketPath } from "../../src/agent/api/routes.ts";
import { type AgentPlace, login, openAgentPlace } from "../support/agent-place.ts";
import { type CsiScene, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { holdBlobs } from "../support/held-blobs.ts";
import { seededBytes } from "../support/workplace.ts";

const model = "team/model:v1";

describe.skipIf(mountsMissing())("a pod on a node with an agent and a registry", () => {
  test("reads its model, through restarts of everything and without the registry", async () => {
    await using place = await openAgentPlace();
    await using scene = await openCsiScene();
    await place.push(model);
    const plugin = await startOn(scene, place);
    const volume = volumeOf(scene, place);
    expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
    const weights = join(scene.kubelet.targetOf(volume), "weights.bin");
    const content = seededBytes(model, 3_000_000);
    expect((await readFile(weights)).equals(content)).toBe(true);
    await expect(writeFile(weights, "")).rejects.toMatchObject({ code: "EROFS" });
    expect(await scene.kubelet.stats(volume)).toMatchObject([
      { unit: "BYTES", total: 3_000_002 },
      { unit: "INODES", total: 2 },
    ]);

    place.cut(true);
    const asked = place.proxy.exchanges.length;
    await plugin[Symbol.asyncDispose]();
    await place.restart();
    await using _again = await startOn(scene, place);
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: status.OK }]);
    expect((await readFile(weights)).equals(content)).toBe(true);
    expect(place.proxy.exchanges).toHaveLength(asked);
    expect(await place.client("mount").leases()).toMatchObject([
      { target: scene.kubelet.targetOf(volume), subject: { uid: volume.pod.uid } },
    ]);

    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await place.client("mount").leases()).toEqual([]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("sees how far its model is, and gets it once it is there", async () => {
    await using place = await openAgentPlace();
    await using scene = await openCsiScene();
    await place.push(model);
    const { release } = holdBlobs(place.proxy);
    await startOn(scene, place, 500);
    const volume = volumeOf(scene, place);
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.ABORTED });
    const second = scene.kubelet.publish(volume);
    release();
    expect(await second).toMatchObject({ code: status.OK });
    await scene.kubelet.deletePod(volume);
    expect(await place.client("mount").leases()).toEqual([]);
  });

  test("needs a credential of its own, in any of the shapes a secret has", async () => {
    await using place = await openAgentPlace({ withLogin: true });
    await using scene = await openCsiScene();
    await place.push(model);
    await startOn(scene, place);
    const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
    const auths = { [place.proxy.address]: { auth } };
    const secrets = [{ ...login }, { ".dockerconfigjson": JSON.stringify({ auths }) }];
    for (const secret of secrets) {
      const allowed = { ...volumeOf(scene, place), secrets: secret };
      expect(await scene.kubelet.publish(allowed)).toMatchObject({ code: status.OK, message: "" });
      // Another namespace, for the first one's verdict counts there.
      const { pod } = scene.volume();
      const strangers = [{}, { username: "pod", password: "wrong" }];
      for (const wrong of strangers) {
        const stranger = { ...volumeOf(scene, place), pod: { ...pod, namespace: "other" } };
        const refused = await scene.kubelet.publish({ ...stranger, secrets: wrong });
        expect([status.UNAUTHENTICATED, status.PERMISSION_DENIED]).toContain(refused.code);
        expect(refused.message).not.toContain("wrong");
        expect(await scene.kubelet.deletePod(stranger)).toEqual([]);
      }
      await scene.kubelet.deletePod(allowed);
    }
    expect(JSON.stringify([scene.log, place.log])).not.toContain(auth);
    expect(await place.client("mount").leases()).toEqual([]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("keeps its model when the lease is lost, without its credential", async () => {
    await using place = await openAgentPlace({ withLogin: true });
    await using scene = await openCsiScene();
    await place.push(model);
    await startOn(scene, place, 30_000, 50);
    const volume = { ...volumeOf(scene, place), secrets: { ...login } };
    expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
    const mount = place.client("mount");
    const [lease] = await mount.leases();
    const asked = place.proxy.exchanges.length;
    await mount.release(lease?.id ?? "");
    await expect
      .poll(() => mount.leases())
      .toMatchObject([{ ...lease, since: expect.any(String) }]);
    expect(place.proxy.exchanges).toHaveLength(asked);
    expect(await place.client("admin").collect({ maxBytes: 0 })).toMatchObject({ removed: [] });
    await scene.kubelet.deletePod(volume);
    expect(await mount.leases()).toEqual([]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("hears what is wrong with its reference", async () => {
    await using place = await openAgentPlace();
    await using scene = await openCsiScene();
    await startOn(scene, place);
    const missing = volumeOf(scene, place);
    expect(await scene.kubelet.publish(missing)).toMatchObject({
      code: status.NOT_FOUND,
      message: expect.stringContaining("team/model"),
    });
    await scene.kubelet.deletePod(missing);
    place.cut(true);
    const unreachable = volumeOf(scene, place);
    expect(await scene.kubelet.publish(unreachable)).toMatchObject({
      code: expect.toSatisfy((code) => [status.ABORTED, status.UNAVAILABLE].includes(code)),
    });
    await scene.kubelet.deletePod(unreachable);
    expect(await place.client("mount").leases()).toEqual([]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

function startOn(
  scene: CsiScene,
  place: AgentPlace,
  firstAnswerMs = 30_000,
  reconcileMs = 3_600_000,
) {
  const agentSocket = socketPath(place.run, "mount");
  const patience = { firstAnswerMs, reconcileMs };
  return scene.start({ agentSocket, storeRoot: place.root, patience });
}

function volumeOf(scene: CsiScene, place: AgentPlace) {
  return scene.volume({ attributes: { reference: place.ref(model) } });
}
