import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { driverName } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";
import { type ImageScene, openImageScene } from "../support/image-scene.ts";
import { type Kubelet, type PodVolume, startKubelet } from "../support/kubelet.ts";
import {
  type PodContainer,
  type RunningContainer,
  runContainer,
  startContainer,
} from "../support/pod-container.ts";
import { toolsMissing } from "../support/programs.ts";
import { openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

const missing = mountsMissing() || toolsMissing("runc", "kustomize");
const serving = /"event":"serving"/;

describe.skipIf(missing)(
  "the plugin with three capabilities, under runc as its manifest says",
  () => {
    let place: Workplace;
    let scene: ImageScene;
    let kubelet: Kubelet;
    let agent: RunningContainer;
    let plugin: RunningContainer;
    let source: string;
    let registrations = 0;

    const startPlugin = async () => {
      plugin = await startContainer(scene.plugin.main, serving);
      await kubelet.drivers.find(driverName, registrations++);
    };
    beforeAll(async () => {
      place = await openWorkplace();
      scene = await openImageScene(place.ref("").replace("/", ""), "capabilities");
      kubelet = await startKubelet(scene.kubeletRoot);
      source = await place.writeModel();
      await place.push(source, "team/model:v1");
      for (const init of [...scene.plugin.inits, ...scene.agent.inits]) await runContainer(init);
      agent = await startContainer(scene.agent.main, /"event":"agent serves"/);
      await startPlugin();
    });
    afterAll(async () => {
      for (const each of [plugin, agent, kubelet, scene, place])
        await each?.[Symbol.asyncDispose]();
    });

    const newVolume = (): PodVolume => ({
      pod: { name: "server-0", namespace: "team", uid: randomUUID(), serviceAccount: "default" },
      name: "model",
      driver: driverName,
      attributes: { reference: place.ref("team/model:v1") },
    });
    /** What the node says of the mount at a path. */
    const mountAt = (path: string) => run("findmnt", "--noheadings", "--output", "OPTIONS", path);

    test("has these, no way to others, a filter of system calls, and nothing of the node's pods", async () => {
      const text = await plugin.exec(["cat", "/proc/1/status"]);
      // CAP_SYS_CHROOT is 18, CAP_SYS_PTRACE 19, CAP_SYS_ADMIN 21.
      for (const set of ["CapPrm", "CapEff", "CapBnd"])
        expect(text).toMatch(new RegExp(`^${set}:\\s+00000000002c0000$`, "m"));
      expect(text).toMatch(/^NoNewPrivs:\s+1$/m);
      expect(text).toMatch(/^Seccomp:\s+2$/m);
      const mounts = await plugin.exec(["cat", "/proc/1/mountinfo"]);
      expect(mounts).not.toMatch(/ shared:| master:/);
      await expect(plugin.exec(["ls", join(scene.kubeletRoot, "pods")])).rejects.toThrow("No such");
      await expect(plugin.exec(["ls", "/dev/kmsg"])).rejects.toThrow("No such file");
    });

    test("mounts a model where pods see it, read-only, and takes it away again", async () => {
      const volume = newVolume();
      expect((await kubelet.mount(volume)).at(-1)).toMatchObject({ code: status.OK });
      const target = kubelet.targetOf(volume);
      expect(mountAt(target).trim().split(",")).toEqual(
        expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]),
      );
      expect(await readTree(target)).toEqual(await readTree(source));
      // As a pod that starts now: a container runtime shows it the mount, and it is another user.
      const user = "setpriv --reuid=12345 --regid=12345 --clear-groups";
      const pod = `mount --bind ${target} /mnt && exec ${user} cat /mnt/config.json`;
      const text = await readFile(join(source, "config.json"), "utf8");
      expect(run("unshare", "--mount", "sh", "-c", pod)).toBe(text);
      expect(() => run("touch", join(target, "new"))).toThrow("Read-only file system");
      expect(await plugin.exec(["cat", "/proc/1/mountinfo"])).not.toContain(volume.pod.uid);
      await kubelet.deletePod(volume);
      expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(target);
    });

    test("leaves mounts when it is killed, and knows them afterwards, without its state too", async () => {
      const [known, forgotten] = [newVolume(), newVolume()];
      for (const volume of [known, forgotten])
        expect((await kubelet.mount(volume)).at(-1)).toMatchObject({ code: status.OK });
      await plugin[Symbol.asyncDispose]();
      expect(await readTree(kubelet.targetOf(known))).toEqual(await readTree(source));
      await startPlugin();
      expect(await kubelet.publish(known)).toMatchObject({ code: status.OK });
      await plugin[Symbol.asyncDispose]();
      const state = join(scene.kubeletRoot, "plugins", driverName, "state", "volumes");
      await rm(state, { recursive: true });
      await startPlugin();
      expect(await kubelet.publish(forgotten)).toMatchObject({ code: status.OK });
      const before = await readFile("/proc/self/mountinfo", "utf8");
      for (const volume of [known, forgotten]) {
        const target = kubelet.targetOf(volume);
        expect(before.split(target)).toHaveLength(2);
        await kubelet.deletePod(volume);
        expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(target);
      }
    });

    test("answers its probes", async () => {
      for (const name of ["startupProbe", "livenessProbe"]) {
        const answer = plugin.exec(scene.plugin.main.container[name].exec.command);
        await expect(answer).resolves.toBeDefined();
      }
    });

    test.each(["SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE"])(
      "does not start without %s, and says so",
      async (name) => {
        const { drop, add } = scene.plugin.main.container["securityContext"].capabilities;
        expect(add).toContain(name);
        const capabilities = { drop, add: add.filter((each: string) => each !== name) };
        const start = startContainer(changed(scene.plugin.main, { capabilities }), serving);
        await expect(start).rejects.toThrow(`it takes CAP_${name}`);
      },
    );

    test("does not start where the filter of a container runtime knows too few calls, and says so", async () => {
      const main = { ...scene.plugin.main, unknownCalls: ["mount_setattr"] };
      await expect(startContainer(main, serving)).rejects.toThrow(
        "takes Linux 5.12 and a seccomp profile that allows open_tree, mount_setattr and move_mount",
      );
    });

    test("does not start with the container's own namespace for the node's, and says so", async () => {
      const { container } = scene.plugin.main;
      const command = container["command"].map((word: string) =>
        word.replace("/host/ns/mnt", "/proc/1/ns/mnt"),
      );
      const main = { ...scene.plugin.main, container: { ...container, command } };
      await expect(startContainer(main, serving)).rejects.toThrow(
        "/proc/1/ns/mnt is the mount namespace of this process itself",
      );
    });
  },
);

/** The same container with another security context. */
function changed(what: PodContainer, securityContext: object): PodContainer {
  const { container } = what;
  const changes = { ...container["securityContext"], ...securityContext };
  return { ...what, container: { ...container, securityContext: changes } };
}
