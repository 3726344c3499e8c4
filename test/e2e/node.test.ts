import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runBallast } from "../support/ballast-command.ts";
import { driverName, nothingLeft } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";
import { blobBytes, holdBlobs } from "../support/held-blobs.ts";
import type { PodVolume } from "../support/kubelet.ts";
import { type NodeScene, openNodeScene } from "../support/node-scene.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { startDistribution } from "../support/real-registries.ts";
import { type RecordingProxy, startRecordingProxy } from "../support/recording-proxy.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

const cannot = mountsMissing();
const script = join(import.meta.dirname, "../support/tensors.py");
const podUser = "12345";

/** What finds the interpreter's library, which a test machine may have where only root looks. */
const anyFolder = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search";

/**
 * Runs a program as a container would be: in a mount namespace of its own, as some user, with the
 * volume at a path of its own. `$1` is that path.
 */
async function inPod(
  scene: NodeScene,
  volume: PodVolume,
  command: string,
  rights = "--inh-caps=-all",
): Promise<string> {
  const inside = join(scene.path, "models");
  await mkdir(inside, { recursive: true });
  const user = `setpriv --reuid=${podUser} --regid=${podUser} --clear-groups ${rights}`;
  const line = `mount --bind "$2" "$1" && exec ${user} sh -c '${command}' pod "$1"`;
  const args = ["--mount", "sh", "-ec", line, "pod", inside, scene.kubelet.targetOf(volume)];
  const { stdout } = await promisify(execFile)("unshare", args);
  return stdout.trim();
}

describe.skipIf(cannot || toolsMissing("registry", "python", "minilm"))("a real model", () => {
  test("is read by safetensors in a pod, every tensor equal, and cannot be written", async () => {
    await using registry = await startDistribution({ version: "v3", auth: "htpasswd" });
    await using scene = await openNodeScene();
    const rights = await readFile(`/proc/${scene.plugin.pid}/status`, "utf8");
    // CAP_SYS_ADMIN is number 21.
    expect(rights).toMatch(/^CapEff:\s+0000000000200000$/m);
    const source = toolPath("minilm");
    const reference = `${registry.address}/models/minilm:v1`;
    const env = { BALLAST_USERNAME: "tester", BALLAST_PASSWORD: "secret" };
    expect((await runBallast(["push", source, reference], { home: scene.path, env })).code).toBe(0);
    const secrets = { username: "tester", password: "secret" };
    const stranger = scene.volume(reference);
    expect((await scene.kubelet.publish(stranger)).code).toBe(status.UNAUTHENTICATED);
    await scene.kubelet.deletePod(stranger);
    const volume = scene.volume(reference, { secrets });
    const calls = await scene.kubelet.mount(volume);
    expect(calls.at(-1)).toMatchObject({ code: status.OK });
    const compare = `exec "${toolPath("python")}" "${script}" compare "${source}" "$1"`;
    expect(Number(await inPod(scene, volume, compare, anyFolder))).toBeGreaterThan(50);
    const read = await inPod(scene, volume, 'cat "$1/config.json"');
    expect(read).toBe((await readFile(join(source, "config.json"), "utf8")).trim());
    const write = 'touch "$1/new" 2>&1; echo x 2>&1 >"$1/config.json"; true';
    expect(await inPod(scene, volume, write)).toMatch(/Read-only file system/);
    const target = scene.kubelet.targetOf(volume);
    await expect(promisify(execFile)("touch", [join(target, "new")])).rejects.toThrow(
      "Read-only file system",
    );
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});

describe.skipIf(cannot)("a node", () => {
  let place: Workplace;
  let proxy: RecordingProxy;
  let scene: NodeScene;
  let up: string;

  beforeEach(async () => {
    place = await openWorkplace();
    up = place.ref("").replace("/", "");
    proxy = await startRecordingProxy(up);
    scene = await openNodeScene();
  });
  afterEach(async () => {
    await scene[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  const bytes = 48 * mebi;
  async function push(name: string, size = bytes): Promise<string> {
    const source = await place.write(name, { "weights.bin": seededBytes(name, size) });
    await place.push(source, `team/${name}:v1`);
    return `${proxy.address}/team/${name}:v1`;
  }

  const weightsOf = (volume: PodVolume) => join(scene.kubelet.targetOf(volume), "weights.bin");

  async function expectMounted(volume: PodVolume, name: string, size = bytes): Promise<void> {
    expect((await readFile(weightsOf(volume))).equals(seededBytes(name, size))).toBe(true);
  }

  async function expectNothingLeft(...volumes: readonly PodVolume[]): Promise<void> {
    for (const volume of volumes) await scene.kubelet.deletePod(volume);
    const left = await scene.leftovers();
    console.log(`left of ${volumes.length} volumes: ${JSON.stringify(left)}`);
    expect(left).toEqual(nothingLeft);
  }

  test("brings one model once for a hundred pods that start at the same time", async () => {
    const reference = await push("many");
    const volumes = Array.from({ length: 100 }, () => scene.volume(reference));
    const calls = await Promise.all(volumes.map((volume) => scene.kubelet.mount(volume)));
    expect(calls.map((each) => each.at(-1)?.code)).toEqual(volumes.map(() => status.OK));
    expect(blobBytes(proxy)).toBeLessThan(bytes * 1.01);
    await expectMounted(volumes[99] ?? scene.volume(reference), "many");
    await expectNothingLeft(...volumes);
  });

  test("keeps running pods reading while agent and plugin are killed and started again", async () => {
    const volume = scene.volume(await push("read"));
    await scene.kubelet.mount(volume);
    const loop = `for (;;) {
      require("fs").readFileSync(process.argv[1]);
      process.stdout.write("r");
    }`;
    const reader = spawn(process.execPath, ["-e", loop, weightsOf(volume)], { stdio: "pipe" });
    let [reads, failures] = [0, ""];
    reader.stdout.on("data", (piece: Buffer) => void (reads += piece.byteLength));
    reader.stderr.on("data", (piece: Buffer) => void (failures += piece.toString()));
    const more = async () => {
      const before = reads;
      await expect.poll(() => reads, { timeout: 20_000 }).toBeGreaterThan(before + 3);
    };
    await more();
    await scene.agent.kill();
    await more();
    await scene.plugin.kill();
    await more();
    await scene.agent.start();
    await scene.startPlugin();
    await more();
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: status.OK }]);
    await scene.agent.stop();
    await more();
    await scene.agent.start();
    await more();
    reader.kill("SIGKILL");
    await once(reader, "close");
    expect(failures).toBe("");
    expect((await scene.admin().leases()).map(({ target }) => target)).toEqual([
      scene.kubelet.targetOf(volume),
    ]);
    await expectNothingLeft(volume);
  });

  test("mounts after the agent was killed in the middle of the pull, fetching little again", async () => {
    const { asked, release } = holdBlobs(proxy, 1);
    const volume = scene.volume(await push("agent-killed"));
    const held = scene.kubelet.mount(volume);
    await asked;
    await scene.agent.kill();
    release();
    await scene.agent.start();
    expect((await held).at(-1)).toMatchObject({ code: status.OK });
    await expectMounted(volume, "agent-killed");
    expect(blobBytes(proxy)).toBeLessThan(2 * bytes);
    await expectNothingLeft(volume);
  });

  test("mounts after both were killed while a pod waited, once for all", async () => {
    const { asked, release } = holdBlobs(proxy, 1);
    const reference = await push("both-killed");
    const volume = scene.volume(reference);
    const held = scene.kubelet.publish(volume);
    await asked;
    await scene.plugin.kill();
    await scene.agent.kill();
    expect((await held).code).toBe(status.UNAVAILABLE);
    release();
    await scene.agent.start();
    await scene.startPlugin();
    const next = scene.volume(reference);
    const calls = await Promise.all([volume, next].map((each) => scene.kubelet.mount(each)));
    expect(calls.map((each) => each.at(-1)?.code)).toEqual([status.OK, status.OK]);
    await expectMounted(volume, "both-killed");
    await expectNothingLeft(volume, next);
  });

  test("mounts after the plugin was killed while its call was held", async () => {
    const { asked, release } = holdBlobs(proxy, 1);
    const volume = scene.volume(await push("plugin-killed"));
    const held = scene.kubelet.publish(volume);
    await asked;
    await scene.plugin.kill();
    expect((await held).code).toBe(status.UNAVAILABLE);
    await scene.startPlugin();
    release();
    expect((await scene.kubelet.mount(volume)).at(-1)).toMatchObject({ code: status.OK });
    expect(blobBytes(proxy)).toBeLessThan(bytes * 1.01);
    await expectNothingLeft(volume);
  });

  test("forgets a pod that is deleted while its call is held, and ends the pull", async () => {
    const { asked, release } = holdBlobs(proxy, 1);
    const volume = scene.volume(await push("deleted"));
    const held = scene.kubelet.publish(volume);
    await asked;
    expect((await held).code).toBe(status.ABORTED);
    await expectNothingLeft(volume);
    for await (const { models } of scene.admin().watch())
      if (models.every(({ state }) => state !== "pulling")) break;
    release();
  });

  test("mounts again what was mounted before a reboot, at its digest and without the registry", async () => {
    const reference = await push("rebooted");
    const volume = scene.volume(reference);
    await scene.kubelet.mount(volume);
    const source = await place.write("other", { "weights.bin": "other" });
    await place.push(source, "team/rebooted:v1");
    proxy.target = "127.0.0.1:1";
    await scene.reboot();
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: status.OK }]);
    await expectMounted(volume, "rebooted");
    await expectNothingLeft(volume);
  });

  test("says how much is missing where the disk is too small, and leaves nothing", async () => {
    await using small = await openNodeScene({
      prepare: async (folder) => {
        await mkdir(join(folder, "store"));
        run("mount", "-t", "tmpfs", "-o", "size=24m", "small", join(folder, "store"));
      },
    });
    const volume = small.volume(await push("too-large"));
    const { code, message } = await small.kubelet.publish(volume);
    expect(code).toBe(status.RESOURCE_EXHAUSTED);
    expect(message).toMatch(/NO_SPACE: not enough space at .*: \d+ bytes to write, \d+ usable/);
    await small.kubelet.deletePod(volume);
    expect(await small.leftovers()).toEqual(nothingLeft);
  });

  test("never evicts what a pod has mounted, however little space there is", async () => {
    await using small = await openNodeScene({
      prepare: async (folder) => {
        await mkdir(join(folder, "store"));
        run("mount", "-t", "tmpfs", "-o", "size=40m", "small", join(folder, "store"));
      },
    });
    const sizes = 16 * mebi;
    const [first, second, third] = [
      small.volume(await push("one", sizes)),
      small.volume(await push("two", sizes)),
      small.volume(await push("three", sizes)),
    ];
    expect((await small.kubelet.publish(first)).code).toBe(status.OK);
    expect((await small.kubelet.publish(second)).code).toBe(status.OK);
    expect((await small.kubelet.publish(third)).code).toBe(status.RESOURCE_EXHAUSTED);
    const weights = join(small.kubelet.targetOf(first), "weights.bin");
    expect((await readFile(weights)).equals(seededBytes("one", sizes))).toBe(true);
    await small.kubelet.deletePod(second);
    const calls = await small.kubelet.mount(third);
    expect(calls.at(-1)).toMatchObject({ code: status.OK });
    const names = (await small.admin().status()).models.map(({ name }) => name);
    expect(names.filter((name) => name.includes("/two@"))).toEqual([]);
    expect((await readFile(weights)).equals(seededBytes("one", sizes))).toBe(true);
    for (const volume of [first, third]) await small.kubelet.deletePod(volume);
    expect(await small.leftovers()).toEqual(nothingLeft);
  });

  test("is upgraded without a pod that notices: the new plugin overlaps the old", async () => {
    const reference = await push("upgraded");
    const volume = scene.volume(reference);
    await scene.kubelet.mount(volume);
    const old = scene.plugin;
    await scene.startPlugin();
    process.kill(old.pid, "SIGTERM");
    await old.ended;
    expect(scene.kubelet.drivers.names).toEqual([driverName]);
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: status.OK }]);
    const next = scene.volume(reference);
    expect((await scene.kubelet.mount(next)).at(-1)).toMatchObject({ code: status.OK });
    await expectMounted(volume, "upgraded");
    await expectNothingLeft(volume, next);
  });

  test("shows a model in a folder without Kubernetes, and takes it away again", async () => {
    const reference = await push("by-hand");
    const folder = join(scene.path, "by-hand");
    const command = (...args: string[]) =>
      runBallast([...args, "--run", scene.agent.run], { home: scene.path });
    expect(await command("mount", reference, folder)).toMatchObject({
      code: 0,
      out: `${folder}\n`,
    });
    const content = await readFile(join(folder, "weights.bin"));
    expect(content.equals(seededBytes("by-hand", bytes))).toBe(true);
    expect(await command("mount", reference, folder)).toMatchObject({ code: 0 });
    expect((await command("store", "rm", reference, "--store", scene.agent.root)).err).toContain(
      "MODEL_IN_USE",
    );
    expect((await command("status")).out).toContain(`mounted at ${folder}`);
    const other = await push("another");
    expect((await command("mount", other, folder)).err).toContain("LEASE_EXISTS");
    expect(await command("unmount", folder)).toMatchObject({ code: 0 });
    expect(await command("unmount", folder)).toMatchObject({ code: 0 });
    expect(await scene.leftovers()).toEqual(nothingLeft);
    expect(await command("store", "rm", reference, "--store", scene.agent.root)).toMatchObject({
      code: 0,
    });
  });
});
