import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { createRpcClient } from "../../csi/rpc/client.ts";
import { nodeService } from "../../csi/rpc/services.ts";
import { pathExists } from "../../src/core/absence.ts";
import {
  driverName,
  modelFiles,
  modelReference,
  nothingLeft,
  openCsiScene,
} from "../support/csi-scene.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";

describe.skipIf(mountsMissing())("a published volume", () => {
  test("shows the model's files, read-only, and is gone without a trace after unpublish", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    const before = openDescriptors();
    expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);

    const target = scene.kubelet.targetOf(volume);
    for (const [path, text] of Object.entries(modelFiles))
      expect(await readFile(join(target, path), "utf8")).toBe(text);
    await expect(writeFile(join(target, "new"), "")).rejects.toMatchObject({ code: "EROFS" });
    await expect(writeFile(join(target, "config.json"), "")).rejects.toMatchObject({
      code: "EROFS",
    });
    const [mount] = await scene.mounts();
    expect(mount?.mountPoint).toBe(target);
    expect(mount?.options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]));

    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await pathExists(dirname(target))).toBe(false);
    expect(await scene.leftovers()).toEqual(nothingLeft);
    expect(openDescriptors()).toEqual(before);
  });

  test.each([
    ["a writer", "SINGLE_NODE_WRITER"],
    ["readers on many nodes", "MULTI_NODE_READER_ONLY"],
    ["writers on many nodes", "MULTI_NODE_MULTI_WRITER"],
  ] as const)("is read-only for %s with readonly=false", async (_, accessMode) => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume({
      readOnly: false,
      persistent: { handle: "pv-1", accessMode, mountOptions: ["ro", "nodev"] },
    });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
    const path = join(scene.kubelet.targetOf(volume), "x");
    await expect(writeFile(path, "")).rejects.toMatchObject({ code: "EROFS" });
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("is published again without a question to the agent, who may even be gone", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    await scene.agent.stop();
    const asked = scene.agent.requests.length;
    for (const secrets of [{}, { token: "changed" }])
      expect(await scene.kubelet.publish({ ...volume, secrets })).toMatchObject({
        code: status.OK,
      });
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: status.OK }]);
    expect(scene.agent.requests).toHaveLength(asked);
    expect(await scene.mounts()).toHaveLength(1);
  });

  test("refuses other arguments for the same target, and stays as it is", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    const others = [
      { readOnly: true },
      { attributes: { reference: "registry.example.com/team/other:v1" } },
      { attributes: { reference: modelReference, include: "*.json" } },
      { persistent: { handle: "pv-2", accessMode: "MULTI_NODE_READER_ONLY" } },
    ] as const;
    for (const other of others)
      expect(await scene.kubelet.publish({ ...volume, ...other })).toMatchObject({
        code: status.ALREADY_EXISTS,
      });
    expect(await readFile(join(scene.kubelet.targetOf(volume), "config.json"), "utf8")).toBe(
      modelFiles["config.json"],
    );
    expect(scene.agent.leases.size).toBe(1);
  });

  test("keeps no secret in its state, its log, or its lease", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const dockerConfig = '{"auths":{"registry.example.com":{"auth":"c2VjcmV0OnNlY3JldA=="}}}';
    const kinds = [
      [{ ".dockerconfigjson": dockerConfig }, { dockerConfigJson: dockerConfig }],
      [
        { username: "u-c2VjcmV0", password: "p-c2VjcmV0" },
        { username: "u-c2VjcmV0", password: "p-c2VjcmV0" },
      ],
      [{ token: "t-c2VjcmV0" }, { token: "t-c2VjcmV0" }],
      [{ "csi.storage.k8s.io/serviceAccount.tokens": '{"a":{"token":"c2VjcmV0"}}' }, undefined],
    ] as const;
    for (const [secrets, credential] of kinds) {
      const volume = scene.volume({ secrets });
      expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
      expect(scene.agent.acquires.at(-1)?.credential).toEqual(credential);
    }
    const states = [...(await scene.states()).values()];
    expect(states).toHaveLength(kinds.length);
    expect(JSON.stringify([states, scene.log])).not.toContain("c2VjcmV0");
  });

  test("tells the agent what was asked for and for whom", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume({
      attributes: {
        reference: modelReference,
        include: "*.json, *.{safetensors,gguf}\ntokenizer*",
        exclude: "original/",
        warm: "true",
        mode: "eager",
        "csi.storage.k8s.io/something.new": "x",
        "storage.kubernetes.io/csiProvisionerIdentity": "y",
      },
    });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
    const target = scene.kubelet.targetOf(volume);
    expect(scene.agent.acquires).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f]{64}$/),
        reference: modelReference,
        include: ["*.json", "*.{safetensors,gguf}", "tokenizer*"],
        exclude: ["original/"],
        warm: true,
        target,
        subject: {
          namespace: "team",
          pod: "server-0",
          uid: volume.pod.uid,
          serviceAccount: "default",
        },
      },
    ]);
  });

  test("has the size of its model", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    await expect(scene.kubelet.stats(volume)).rejects.toMatchObject({ code: status.NOT_FOUND });
    await scene.kubelet.mount(volume);
    const bytes = Object.values(modelFiles).join("").length;
    expect(await scene.kubelet.stats(volume)).toEqual([
      { unit: "BYTES", total: bytes, used: bytes, available: 0 },
      { unit: "INODES", total: 2, used: 2, available: 0 },
    ]);
    const other = { ...volume, persistent: { handle: "x", accessMode: "UNKNOWN" } } as const;
    await expect(scene.kubelet.stats(other)).rejects.toMatchObject({ code: status.NOT_FOUND });
    await scene.kubelet.unpublish(volume);
    await expect(scene.kubelet.stats(volume)).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  test("is unpublished as often as one likes, also when there is none", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
    await scene.kubelet.mount(volume);
    for (let time = 0; time < 3; time++)
      expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("is unmounted under open files, which can be read to their end", async () => {
    await using scene = await openCsiScene();
    await scene.start();
    const volume = scene.volume();
    await scene.kubelet.mount(volume);
    const { open } = await import("node:fs/promises");
    await using file = await open(join(scene.kubelet.targetOf(volume), "config.json"));
    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await file.readFile("utf8")).toBe(modelFiles["config.json"]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

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
