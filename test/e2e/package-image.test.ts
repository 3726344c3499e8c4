import { randomUUID } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { archiveImage } from "../../deploy/package/image.ts";
import { pushImage } from "../../deploy/package/push-image.ts";
import { readVersion } from "../../src/core/version.ts";
import { driverName } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";
import { type ImageScene, openImageScene } from "../support/image-scene.ts";
import { type Kubelet, type PodVolume, startKubelet } from "../support/kubelet.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import {
  type PodContainer,
  type RunningContainer,
  runContainer,
  startContainer,
} from "../support/pod-container.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { startDistribution } from "../support/real-registries.ts";
import { openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

const missing = mountsMissing() || toolsMissing("runc", "kustomize");

describe.skipIf(missing)("the image, under runc as the manifests have it run", () => {
  let place: Workplace;
  let scene: ImageScene;
  let kubelet: Kubelet;
  let agent: RunningContainer;
  let plugin: RunningContainer;
  let source: string;

  beforeAll(async () => {
    place = await openWorkplace();
    scene = await openImageScene(place.ref("").replace("/", ""));
    kubelet = await startKubelet(scene.kubeletRoot);
    source = await place.writeModel();
    await place.push(source, "team/model:v1");
    // The plugin's pod makes the folders that the agent's waits for.
    for (const init of [...scene.plugin.inits, ...scene.agent.inits]) await runContainer(init);
    agent = await startContainer(scene.agent.main, /"event":"agent serves"/);
    plugin = await startContainer(scene.plugin.main, /"event":"serving"/);
    await kubelet.drivers.find(driverName);
  });
  afterAll(async () => {
    for (const each of [plugin, agent, kubelet, scene, place]) await each?.[Symbol.asyncDispose]();
  });

  /** Runs the command that a kubelet runs for a probe. */
  const probe = (container: RunningContainer, of: PodContainer, name: string) =>
    container.exec(of.container[name].exec.command);

  test("is 64646's, has one read-only root and no place for temporary files", async () => {
    const { config, os } = scene.unpacked.image;
    expect({ user: config.User, os }).toEqual({ user: "64646:64646", os: "linux" });
    expect(scene.unpacked.rootNames).toContain("opt");
    expect(scene.unpacked.rootNames).not.toContain("tmp");
    const own = run("find", join(scene.path, "rootfs"), "-perm", "/6022", "!", "-type", "l");
    expect(own).toBe("");
    const others = run("find", join(scene.path, "rootfs"), "!", "-user", "0");
    expect(others).toBe("");
  });

  test("knows its version, and what it holds is licensed", async () => {
    const line = `ballast ${readVersion()}\n`;
    expect(await runContainer(scene.agent.main, ["ballast", "--version"])).toBe(line);
    expect(await runContainer(scene.agent.main, ["ballast-csi", "--help"])).toContain("Usage:");
    const documents = await runContainer(scene.agent.main, [
      "ls",
      "/usr/share/doc",
      "/opt/ballast",
    ]);
    for (const name of ["busybox-static", "libc6", "libgcc-s1", "libstdc++6", "node", "LICENSE"])
      expect(documents.split("\n")).toContain(name);
  });

  test("runs the agent as its user, without a capability and without a way to one", async () => {
    const text = await agent.exec(["cat", "/proc/1/status"]);
    expect(text).toMatch(/^Uid:\s+64646\s+64646\s/m);
    expect(text).toMatch(/^CapEff:\s+0+$/m);
    expect(text).toMatch(/^CapBnd:\s+0+$/m);
    expect(text).toMatch(/^NoNewPrivs:\s+1$/m);
    await expect(agent.exec(["sh", "-c", "echo x >/opt/x"])).rejects.toThrow(
      "Read-only file system",
    );
    expect((await stat(scene.store)).uid).toBe(64_646);
  });

  test("answers its probes in both containers, and says no where nobody listens", async () => {
    for (const name of ["startupProbe", "livenessProbe", "readinessProbe"])
      await probe(agent, scene.agent.main, name);
    for (const name of ["startupProbe", "livenessProbe"])
      await probe(plugin, scene.plugin.main, name);
    await expect(agent.exec(["ask-socket", "/nowhere.sock", "/healthz"])).rejects.toThrow("ENOENT");
  });

  test("prefetches a model and tells its status", async () => {
    const reference = place.ref("team/model:v1");
    const args = ["--run", scene.run];
    const tree = await agent.exec(["ballast", "prefetch", "--wait", reference, ...args]);
    expect(await readTree(tree.trim())).toEqual(await readTree(source));
    expect(await agent.exec(["ballast", "status", ...args])).toContain("team/model");
  });

  test("mounts a model where the node sees it, read-only, and takes it away again", async () => {
    const volume: PodVolume = {
      pod: { name: "server-0", namespace: "team", uid: randomUUID(), serviceAccount: "default" },
      name: "model",
      driver: driverName,
      attributes: { reference: place.ref("team/model:v1") },
    };
    expect((await kubelet.mount(volume)).at(-1)).toMatchObject({ code: status.OK });
    const target = kubelet.targetOf(volume);
    expect(await readTree(target)).toEqual(await readTree(source));
    expect(() => run("touch", join(target, "new"))).toThrow("Read-only file system");
    await kubelet.deletePod(volume);
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain(target);
  });

  test("has the memory that its manifest gives it, and ends when it is told to", async () => {
    const { limit, max } = await agent.memory();
    console.log(`agent in a container: at most ${(max / 1_048_576).toFixed(0)} MiB`);
    expect(limit).toBe(1_073_741_824);
    expect(max).toBeLessThan(limit / 2);
    process.kill(agent.process.pid, "SIGTERM");
    await agent.process.ended;
    expect(agent.process.logs()).toMatch(/"event":"agent stops"\}\n$/);
    await agent[Symbol.asyncDispose]();
    agent = await startContainer(scene.agent.main, /"event":"agent serves"/);
    await probe(agent, scene.agent.main, "readinessProbe");
  });

  test.skipIf(toolsMissing("registry", "crane"))(
    "is pushed to a registry, where others find it whole and with nothing to send again",
    async () => {
      await using registry = await startDistribution({ version: "v3", auth: "htpasswd" });
      await using home = await makeTemporaryFolder();
      const reference = `${registry.address}/infra/ballast:${scene.tag}`;
      const environment = { BALLAST_USERNAME: "tester", BALLAST_PASSWORD: "secret" };
      const pushed = await pushImage(scene.layout, scene.tag, reference, { environment });
      expect(await pushImage(scene.layout, scene.tag, reference, { environment })).toBe(pushed);
      const auths = { [registry.address]: { auth: btoa("tester:secret") } };
      await writeFile(join(home.path, "config.json"), JSON.stringify({ auths }));
      const crane = (...args: string[]) =>
        run("env", `DOCKER_CONFIG=${home.path}`, toolPath("crane"), ...args);
      crane("validate", "--remote", reference);
      const digest = crane("digest", reference).trim();
      expect(pushed).toBe(`${registry.address}/infra/ballast@${digest}`);
      expect(JSON.parse(crane("config", reference)).config).toEqual(scene.unpacked.image.config);
      await expect(
        pushImage(scene.layout, scene.tag, `${registry.address}/infra/ballast`, { environment }),
      ).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    },
  );

  test.skipIf(toolsMissing("skopeo"))(
    "is an archive too, for those who read layouts and for those who read docker's own",
    async () => {
      const file = join(scene.path, "image.tar");
      await archiveImage(scene.layout, scene.tag, file);
      for (const name of [`oci-archive:${file}:${scene.tag}`, `docker-archive:${file}`]) {
        const config = run(toolPath("skopeo"), "inspect", "--config", "--raw", name);
        expect(JSON.parse(config)).toEqual(scene.unpacked.image);
      }
    },
  );
});
