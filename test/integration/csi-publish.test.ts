import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { pathExists } from "../../src/core/absence.ts";
import { modelFiles, modelReference, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountsMissing } from "../support/disk-mounts.ts";

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

  test.each(["secrets", "attributes"] as const)(
    "takes no notice of service account tokens in its %s, nor of new ones, and tells nobody",
    async (place) => {
      await using scene = await openCsiScene();
      await scene.start();
      const plain = scene.volume();
      const withToken = (token: string) => {
        const tokens = JSON.stringify({
          "registry.example.com": { token, expirationTimestamp: "" },
        });
        const key = "csi.storage.k8s.io/serviceAccount.tokens";
        return { ...plain, [place]: { ...plain[place], [key]: tokens } };
      };
      for (const token of ["aHVzaA-1", "aHVzaA-2"])
        expect(await scene.kubelet.publish(withToken(token))).toMatchObject({ code: status.OK });
      expect(scene.agent.acquires).toHaveLength(1);
      expect(scene.agent.acquires[0]).not.toHaveProperty("credential");
      const refused = withToken("aHVzaA-3");
      const { code, message } = await scene.kubelet.publish({ ...refused, readOnly: true });
      expect(code).toBe(status.ALREADY_EXISTS);
      const told = [message, scene.log, [...(await scene.states())], scene.agent.acquires];
      expect(JSON.stringify(told)).not.toContain("aHVzaA");
    },
  );

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
