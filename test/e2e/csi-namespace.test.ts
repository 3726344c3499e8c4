import { readdirSync, readlinkSync } from "node:fs";
import { mkdir, readFile, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { type CsiScene, modelFiles, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";
import type { PodVolume } from "../support/kubelet.ts";
import { apart, mountHere, needed } from "../support/other-mounts.ts";

/** Starts a plugin that has its own mounts, and what a container lacks: the kubelet's pods. */
function startApart(scene: CsiScene, flags: readonly string[] = []) {
  const hide = `mount -t tmpfs none ${join(scene.kubelet.root, "pods")}`;
  return scene.startProcess({ wrapper: apart(needed, hide), flags: [...mountHere, ...flags] });
}

const configOf = (scene: CsiScene, volume: PodVolume) =>
  readFile(join(scene.kubelet.targetOf(volume), "config.json"), "utf8");

describe.skipIf(mountsMissing())(
  "a plugin that mounts in the node's namespace from its own",
  () => {
    test("mounts read-only where the pods are, sees nothing of it itself, and takes it away", async () => {
      await using scene = await openCsiScene();
      await using plugin = await startApart(scene);
      const volume = scene.volume();
      const target = scene.kubelet.targetOf(volume);
      expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
      expect(await scene.mounts()).toMatchObject([
        {
          mountPoint: target,
          options: expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]),
        },
      ]);
      expect(await configOf(scene, volume)).toBe(modelFiles["config.json"]);
      expect(await readFile(`/proc/${plugin.pid}/mountinfo`, "utf8")).not.toContain(target);
      expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
      expect(scene.agent.acquires).toHaveLength(1);
      expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("has one thread go there, and no file of its own opened there", async () => {
      await using scene = await openCsiScene();
      await using plugin = await startApart(scene);
      const of = (name: string) => readlinkSync(`/proc/${plugin.pid}/${name}`);
      const [own, folder] = [of("ns/mnt"), of("cwd")];
      const elsewhere = new Set<string>();
      let watching = true;
      const watch = async () => {
        while (watching) {
          for (const thread of readdirSync(`/proc/${plugin.pid}/task`))
            if (of(`task/${thread}/ns/mnt`) !== own) elsewhere.add(thread);
          await delay(0);
        }
      };
      const watched = watch();
      const volumes = Array.from({ length: 50 }, () => scene.volume());
      await Promise.all(volumes.map((volume) => scene.kubelet.mount(volume)));
      await Promise.all(volumes.map((volume) => scene.kubelet.deletePod(volume)));
      watching = false;
      await watched;
      expect([...elsewhere].filter((thread) => Number(thread) !== plugin.pid)).toEqual([]);
      expect([of("ns/mnt"), of("cwd"), of("root")]).toEqual([own, folder, "/"]);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("comes back to a root that is not its namespace's", async () => {
      await using scene = await openCsiScene();
      const root = join(scene.path, "root");
      await mkdir(root);
      const wrapper = [...apart(needed, `mount --rbind / ${root}`), "chroot", root];
      await using plugin = await scene.startProcess({ wrapper, flags: mountHere });
      const volume = scene.volume();
      await scene.kubelet.mount(volume);
      expect(await readlink(`/proc/${plugin.pid}/root`)).toBe(root);
      expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("keeps a mount whose state was lost, as the node's mount table has it", async () => {
      await using scene = await openCsiScene();
      await using plugin = await startApart(scene);
      const volume = scene.volume();
      await scene.kubelet.mount(volume);
      const [mount] = await scene.mounts();
      await plugin.kill();
      await rm(join(scene.stateFolder, "volumes"), { recursive: true });
      await using _next = await startApart(scene);
      expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
      expect(await scene.mounts()).toEqual([mount]);
      await scene.kubelet.deletePod(volume);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("takes over what a privileged one has mounted, and leaves it to one", async () => {
      await using scene = await openCsiScene();
      const ways = [() => scene.startProcess(), () => startApart(scene)];
      const volumes: PodVolume[] = [];
      for (const start of [...ways, ...ways]) {
        const plugin = await start();
        const again = await scene.kubelet.republishAll();
        expect(again.map(({ code }) => code)).toEqual(volumes.map(() => status.OK));
        expect(scene.agent.acquires).toHaveLength(volumes.length);
        const volume = scene.volume();
        volumes.push(volume);
        await scene.kubelet.mount(volume);
        await plugin.kill();
      }
      for (const [index, volume] of volumes.toReversed().entries()) {
        const plugin = await ways[index % 2]?.();
        expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
        await plugin?.kill();
        await scene.kubelet.deletePod(volume);
      }
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("ends volumes whose pods are gone on the node, and no other", async () => {
      await using scene = await openCsiScene();
      const plugin = await startApart(scene);
      const [gone, mounted, waiting] = [scene.volume(), scene.volume(), scene.volume()];
      for (const volume of [gone, mounted, waiting]) await scene.kubelet.mount(volume);
      await plugin.kill();
      for (const volume of [gone, waiting]) run("umount", scene.kubelet.targetOf(volume));
      await rm(join(scene.kubelet.root, "pods", gone.pod.uid), { recursive: true });
      await using _next = await startApart(scene, ["--reconcile", "0.1"]);
      await expect.poll(() => scene.agent.leases.size, { timeout: 20_000 }).toBe(2);
      await delay(500);
      expect(scene.agent.leases.size).toBe(2);
      expect(await configOf(scene, mounted)).toBe(modelFiles["config.json"]);
      for (const volume of [mounted, waiting]) await scene.kubelet.deletePod(volume);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test("follows no link that somebody put into the kubelet's folder", async () => {
      await using scene = await openCsiScene();
      await using _plugin = await startApart(scene);
      const volume = scene.volume();
      const elsewhere = join(scene.path, "elsewhere");
      await mkdir(elsewhere);
      const pod = join(scene.kubelet.root, "pods", volume.pod.uid);
      await mkdir(join(pod, "volumes"), { recursive: true });
      await symlink(elsewhere, join(pod, "volumes/kubernetes.io~csi"));
      expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(await scene.mounts()).toEqual([]);
      expect(readdirSync(elsewhere)).toEqual(["model"]);
    });

    test("killed at any moment leaves what the next calls put right", async () => {
      await using scene = await openCsiScene();
      for (let round = 0; round < 6; round++) {
        const plugin = await startApart(scene);
        const [staying, going, coming] = [scene.volume(), scene.volume(), scene.volume()];
        await scene.kubelet.mount(staying);
        await scene.kubelet.mount(going);
        const calls = [scene.kubelet.unpublish(going), scene.kubelet.publish(coming)];
        // Each round ends them somewhere else.
        await delay(round);
        await plugin.kill();
        await Promise.all(calls);
        const next = await startApart(scene);
        const again = await scene.kubelet.republishAll();
        expect(again.filter(({ code }) => code !== status.OK)).toEqual([]);
        expect((await scene.kubelet.mount(coming)).at(-1)).toMatchObject({ code: status.OK });
        expect(await configOf(scene, coming)).toBe(modelFiles["config.json"]);
        for (const volume of [staying, going, coming]) {
          expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
          await scene.kubelet.deletePod(volume);
        }
        expect(await scene.leftovers()).toEqual(nothingLeft);
        await next.kill();
      }
    });

    test("holds no descriptor more after a hundred volumes", async () => {
      await using scene = await openCsiScene();
      await using plugin = await startApart(scene);
      const cycle = async (count: number) => {
        const volumes = Array.from({ length: count }, () => scene.volume());
        await Promise.all(volumes.map((volume) => scene.kubelet.mount(volume)));
        await Promise.all(volumes.map((volume) => scene.kubelet.deletePod(volume)));
      };
      await cycle(10);
      const before = openDescriptors(plugin.pid);
      await cycle(100);
      expect(openDescriptors(plugin.pid)).toEqual(before);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    });

    test.each(needed)("says at its start that it takes %s", async (name) => {
      await using scene = await openCsiScene();
      const wrapper = apart(needed.filter((each) => each !== name));
      const start = scene.startProcess({ wrapper, flags: mountHere });
      const line = `cannot be entered \\(.*\\): it takes CAP_${name.toUpperCase()}\\b`;
      await expect(start).rejects.toThrow(new RegExp(line));
    });

    test.each([
      [
        "the node's namespace is not shown to it",
        // As in a container, where process 1 is the container's.
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
        ["--mount-namespace", "/proc/1/ns/mnt"],
        /is the mount namespace of this process itself/,
      ],
      ["no namespace is", apart(), ["--mount-namespace", "/nonexistent"], /\(ENOENT\)/],
      [
        "the kubelet's folder is another",
        apart(),
        [...mountHere, "--kubelet-root", "/nonexistent/kubelet"],
        /has no \/nonexistent\/kubelet/,
      ],
    ])("says at its start that %s", async (_, wrapper, flags, message) => {
      await using scene = await openCsiScene();
      await expect(scene.startProcess({ wrapper, flags })).rejects.toThrow(message);
    });
  },
);
