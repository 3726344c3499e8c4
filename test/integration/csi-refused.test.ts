import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { createRpcClient } from "../../csi/rpc/client.ts";
import { nodeService } from "../../csi/rpc/services.ts";
import { pathExists } from "../../src/core/absence.ts";
import { driverName, modelReference, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";

describe.skipIf(mountsMissing())("a volume is refused", () => {
  test.each([
    [
      "an unknown attribute",
      { referense: "x" },
      /no volume attribute.*there is reference, include/,
    ],
    ["no reference", {}, /names no model/],
    ["a folder of the node", { reference: "oci:/etc" }, /in no registry/],
    ["what is no reference", { reference: "Model" }, /INVALID_REFERENCE/],
    ["lazy mode", { reference: modelReference, mode: "lazy" }, /lazy is not there yet/],
    ["a strange mode", { reference: modelReference, mode: "fast" }, /no mode "fast"/],
    ["an empty glob list", { reference: modelReference, include: " , " }, /include/],
    ["an open brace", { reference: modelReference, include: "*.{a" }, /include/],
    ["warm as a number", { reference: modelReference, warm: "1" }, /true or false/],
  ])("with %s", async (_, attributes, message) => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume({ attributes });
    expect(await scene.kubelet.publish(volume)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: expect.stringMatching(message),
    });
    expect(scene.agent.acquires).toEqual([]);
    expect(await scene.kubelet.deletePod(volume)).toEqual([]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("when the kubelet does not say whose it is, or the pod is another", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const forged = {
      "csi.storage.k8s.io/pod.namespace": "victim",
      "csi.storage.k8s.io/pod.name": "p",
      "csi.storage.k8s.io/pod.uid": "00000000-0000-0000-0000-000000000000",
    };
    const { "csi.storage.k8s.io/pod.uid": _, ...withoutUid } = forged;
    for (const more of [{}, forged, withoutUid]) {
      const attributes = { reference: modelReference, ...more };
      const volume = scene.volume({ attributes, withoutPodInfo: true });
      expect(await scene.kubelet.publish(volume)).toMatchObject({
        code: status.INVALID_ARGUMENT,
        message: expect.stringContaining("podInfoOnMount"),
      });
    }
    expect(scene.agent.requests.filter((line) => line !== "leases")).toEqual([]);
  });

  test("without a pod's name where pods are optional, if it lies in a pod's folder", async () => {
    await using scene = await openCsiScene();
    await scene.start({ pods: "optional" });
    const volume = scene.volume({ withoutPodInfo: true });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.INVALID_ARGUMENT });
    const elsewhere = join(scene.kubelet.root, "other", "mount");
    await mkdir(dirname(elsewhere));
    using client = createRpcClient(nodeService, scene.endpoint);
    const request = { ...publishOf(volume, elsewhere), volume_context: volume.attributes };
    await client.call("NodePublishVolume", request, { timeoutMs: 10_000 });
    expect(scene.agent.acquires.map(({ subject }) => subject)).toEqual([undefined]);
    expect(await scene.mounts()).toHaveLength(1);
  });

  test("with a secret that holds no credential, whose values stay unsaid", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume({ secrets: { usrname: "hush", password: "hush" } });
    const { code, message } = await scene.kubelet.publish(volume);
    expect(code).toBe(status.INVALID_ARGUMENT);
    expect([message, ...scene.log].join()).not.toContain("hush");
  });

  test("with mount options that would make it another mount", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const persistent = {
      handle: "pv",
      accessMode: "MULTI_NODE_READER_ONLY",
      mountOptions: ["rw"],
    } as const;
    expect(await scene.kubelet.publish(scene.volume({ persistent }))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: expect.stringContaining("ro,nosuid,nodev,noexec"),
    });
  });

  test.each([
    ["the pod's folder", 0],
    ["volumes", 1],
    ["kubernetes.io~csi", 2],
    ["the volume's folder", 3],
    ["the target itself", 4],
  ])("when a link stands for %s, and nothing is mounted where it leads", async (_, depth) => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    const target = scene.kubelet.targetOf(volume);
    const names = target.slice(join(scene.kubelet.root, "pods/").length).split("/");
    const link = join(scene.kubelet.root, "pods", ...names.slice(0, depth + 1));
    const elsewhere = join(scene.path, "elsewhere");
    await mkdir(join(elsewhere, ...names.slice(depth + 1)), { recursive: true });
    await mkdir(dirname(link), { recursive: true });
    await symlink(elsewhere, link);
    const request = publishOf(volume, target);
    using client = createRpcClient(nodeService, scene.endpoint);
    await expect(
      client.call("NodePublishVolume", request, { timeoutMs: 10_000 }),
    ).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining("is a link or a file"),
    });
    expect(await scene.mounts()).toEqual([]);
    expect(await scene.states()).toEqual(new Map());
    expect(scene.agent.leases.size).toBe(0);
  });

  test.each([
    ["outside the kubelet's folder", (root: string) => `${root}/../elsewhere/mount`],
    ["above it", () => "/mnt"],
    ["beside it", (root: string) => `${root}-2/pods/x/mount`],
    ["relative", () => "pods/x/mount"],
    ["spelled in another way", (root: string) => `${root}/pods//x/mount`],
    ["empty", () => ""],
    ["the kubelet's folder itself", (root: string) => root],
  ])("when its target path is %s", async (_, target) => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    const path = target(scene.kubelet.root);
    using client = createRpcClient(nodeService, scene.endpoint);
    const refused = { code: status.INVALID_ARGUMENT };
    const options = { timeoutMs: 10_000 };
    await expect(
      client.call("NodePublishVolume", publishOf(volume, path), options),
    ).rejects.toMatchObject(refused);
    await expect(
      client.call("NodeUnpublishVolume", { volume_id: "v", target_path: path }, options),
    ).rejects.toMatchObject(refused);
    expect(scene.agent.requests.filter((line) => line !== "leases")).toEqual([]);
  });

  test("when a file lies at its target, which unpublish removes only if it is empty", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    const target = scene.kubelet.targetOf(volume);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, "somebody's");
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.INTERNAL });
    expect(await readFile(target, "utf8")).toBe("somebody's");
    await writeFile(target, "");
    expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
    expect(await pathExists(target)).toBe(false);
  });

  test("but not for good when something else is mounted at its target, which unpublish takes away", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    const target = scene.kubelet.targetOf(volume);
    await mkdir(target, { recursive: true });
    run("mount", "-t", "tmpfs", "tmpfs", target);
    await writeFile(join(target, "theirs"), "");
    expect(await scene.kubelet.publish(volume)).toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringContaining("something else is mounted"),
    });
    // What cannot be tried again is not final either while something is mounted.
    const wrong = { ...volume, attributes: { reference: "oci:/etc" } };
    expect(await scene.kubelet.publish(wrong)).toMatchObject({ code: status.ABORTED });
    expect(await pathExists(join(target, "theirs"))).toBe(true);
    run("mount", "-t", "tmpfs", "tmpfs", target);
    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("when the agent's tree is a link, lies outside the store, or is not there", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const link = join(scene.agent.storeRoot, "link");
    await symlink("/etc", link);
    for (const tree of [link, "/etc", join(scene.agent.storeRoot, "none")]) {
      scene.agent.behave({ kind: "tree", tree });
      const volume = scene.volume();
      expect(await scene.kubelet.publish(volume)).toMatchObject({
        code: status.UNAVAILABLE,
        message: expect.stringContaining("MOUNT_FAILED"),
      });
      await scene.kubelet.deletePod(volume);
    }
    await rm(link);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

function publishOf(volume: { readonly pod: { readonly uid: string } }, target: string) {
  return {
    volume_id: "v",
    target_path: target,
    volume_capability: { mount: {}, access_mode: { mode: "SINGLE_NODE_WRITER" } },
    readonly: false,
    secrets: {},
    volume_context: {
      reference: modelReference,
      "csi.storage.k8s.io/pod.uid": volume.pod.uid,
      "csi.storage.k8s.io/pod.name": driverName,
      "csi.storage.k8s.io/pod.namespace": "team",
    },
  } as const;
}
