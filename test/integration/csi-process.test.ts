import { readdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { createRpcClient } from "../../csi/rpc/client.ts";
import { identityService } from "../../csi/rpc/services.ts";
import { runBallast } from "../support/ballast-command.ts";
import {
  driverName,
  modelFiles,
  nothingLeft,
  openCsiScene,
  pluginProgram,
} from "../support/csi-scene.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountsMissing } from "../support/disk-mounts.ts";

const pulling = { kind: "pulling", progress: { totalBytes: 100, hereBytes: 1 } } as const;

describe.skipIf(mountsMissing())("ballast-csi", () => {
  test("registers itself with the kubelet and says who it is", async () => {
    await using scene = await openCsiScene();
    await using plugin = await scene.startProcess();
    const driver = await scene.kubelet.drivers.find(driverName);
    expect(driver).toMatchObject({ endpoint: scene.endpoint, nodeId: "node-1" });
    // A kubelet takes every socket for a plugin that does not begin with a dot.
    expect(scene.kubelet.drivers.seen).toEqual([`${driverName}-reg.sock`]);
    expect(scene.kubelet.drivers.failures).toEqual([]);
    using client = createRpcClient(identityService, scene.endpoint);
    const options = { timeoutMs: 10_000 };
    expect(await client.call("GetPluginInfo", {}, options)).toMatchObject({
      name: driverName,
      vendor_version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect(await client.call("Probe", {}, options)).toEqual({ ready: { value: true } });
    expect(plugin.logs()).toContain('"event":"registered"');
  });

  test("works in a network namespace that has no network", async () => {
    await using scene = await openCsiScene();
    await using _plugin = await scene.startProcess({ wrapper: ["unshare", "--net"] });
    const volume = scene.volume();
    expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
    expect(await scene.kubelet.deletePod(volume)).toMatchObject([{ code: status.OK }]);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("answers held calls when it is told to stop, ends, and leaves mounts alone", async () => {
    await using scene = await openCsiScene();
    await using plugin = await scene.startProcess();
    const mounted = scene.volume();
    await scene.kubelet.mount(mounted);
    scene.agent.behave(pulling);
    const waiting = scene.volume();
    expect(await scene.kubelet.publish(waiting)).toMatchObject({ code: status.ABORTED });
    const held = scene.kubelet.publish(waiting);
    await scene.agent.awaitAsked(3);
    process.kill(plugin.pid, "SIGTERM");
    expect(await held).toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringContaining("the plugin stops"),
    });
    await scene.kubelet.drivers.gone(driverName);
    while (isAlive(plugin.pid)) await delay(10);
    expect(await readdir(join(scene.kubelet.root, "plugins_registry"))).toEqual([]);
    expect(await readdir(join(scene.kubelet.root, "plugins", driverName))).toEqual(["state"]);
    expect(await readFile(join(scene.kubelet.targetOf(mounted), "config.json"), "utf8")).toBe(
      modelFiles["config.json"],
    );
  });

  test("killed in a held call goes on with the next one, and running pods notice nothing", async () => {
    await using scene = await openCsiScene();
    const first = await scene.startProcess();
    const running = scene.volume();
    await scene.kubelet.mount(running);
    scene.agent.behave(pulling);
    const waiting = scene.volume();
    await scene.kubelet.publish(waiting);
    const held = scene.kubelet.publish(waiting);
    await scene.agent.awaitAsked(3);
    await first.kill();
    expect(await held).toMatchObject({ code: status.UNAVAILABLE });
    // The registration stays, as the socket does; calls find nobody.
    expect(await scene.kubelet.publish(waiting)).toMatchObject({ code: status.UNAVAILABLE });
    expect(await scene.kubelet.unpublish(scene.volume())).toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(await readFile(join(scene.kubelet.targetOf(running), "config.json"), "utf8")).toBe(
      modelFiles["config.json"],
    );

    await using _second = await scene.startProcess();
    scene.agent.behave({ kind: "ready" });
    expect(await scene.kubelet.mount(waiting)).toMatchObject([{ code: status.OK }]);
    const asked = scene.agent.acquires.length;
    expect(await scene.kubelet.republishAll()).toMatchObject([{ code: 0 }, { code: 0 }]);
    expect(scene.agent.acquires).toHaveLength(asked);
    for (const volume of [running, waiting]) await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("takes over from a process that is still there, whose end does it no harm", async () => {
    await using scene = await openCsiScene();
    const old = await scene.startProcess();
    await using _new = await scene.startProcess();
    process.kill(old.pid, "SIGTERM");
    while (isAlive(old.pid)) await delay(10);
    const volume = scene.volume();
    expect(await scene.kubelet.mount(volume)).toMatchObject([{ code: status.OK }]);
    expect(scene.kubelet.drivers.names).toEqual([driverName]);
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("killed at any moment of publish and unpublish leaves what the next calls put right", async () => {
    await using scene = await openCsiScene();
    const rounds = 8;
    for (let round = 0; round < rounds; round++) {
      const plugin = await scene.startProcess();
      const volumes = [scene.volume(), scene.volume(), scene.volume()];
      const [staying, going, coming] = volumes;
      if (staying === undefined || going === undefined || coming === undefined) return;
      await scene.kubelet.mount(staying);
      await scene.kubelet.mount(going);
      const calls = [scene.kubelet.unpublish(going), scene.kubelet.publish(coming)];
      // The calls take some milliseconds: each round ends them somewhere else.
      await delay(round / 2);
      await plugin.kill();
      await Promise.all(calls);

      const next = await scene.startProcess();
      const again = await scene.kubelet.republishAll();
      expect(again.filter(({ code }) => code !== status.OK)).toEqual([]);
      expect((await scene.kubelet.mount(coming)).at(-1)).toMatchObject({ code: status.OK });
      const config = join(scene.kubelet.targetOf(coming), "config.json");
      expect(await readFile(config, "utf8")).toBe(modelFiles["config.json"]);
      for (const volume of volumes) {
        expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
        await scene.kubelet.deletePod(volume);
      }
      expect(await scene.leftovers()).toEqual(nothingLeft);
      await next.kill();
    }
  });

  test("holds no descriptor and no mount more after a hundred volumes", async () => {
    await using scene = await openCsiScene();
    await using plugin = await scene.startProcess();
    const cycle = async (count: number) => {
      const volumes = Array.from({ length: count }, () => scene.volume());
      await Promise.all(volumes.map((volume) => scene.kubelet.mount(volume)));
      await Promise.all(volumes.map((volume) => scene.kubelet.deletePod(volume)));
    };
    await cycle(10);
    const before = openDescriptors(plugin.pid);
    await cycle(100);
    const after = openDescriptors(plugin.pid);
    console.log(`descriptors ${before.length} -> ${after.length}`, await scene.leftovers());
    expect(after).toEqual(before);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test("tells over a socket of its own whether it is alive", async () => {
    await using scene = await openCsiScene();
    const socketPath = join(scene.path, "health.sock");
    await using _plugin = await scene.startProcess({ flags: ["--health", `unix://${socketPath}`] });
    expect(await ask({ socketPath }, "/healthz")).toEqual([200, "ok\n"]);
    expect((await ask({ socketPath }, "/"))[0]).toBe(404);
    // Somebody took the CSI socket's place.
    await rename(scene.endpoint, `${scene.endpoint}.away`);
    await writeFile(scene.endpoint, "");
    expect((await ask({ socketPath }, "/healthz"))[0]).toBe(503);
  });

  test("tells over TCP whether it is alive, and names the host's path of a socket that it serves elsewhere", async () => {
    await using scene = await openCsiScene();
    // As in a container, where the plugin's folder has another path.
    const endpoint = join(scene.path, "csi.sock");
    await symlink(endpoint, scene.endpoint);
    const health = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
    await using plugin = await scene.start({ endpoint, health });
    expect(await scene.kubelet.drivers.find(driverName)).toMatchObject({
      endpoint: scene.endpoint,
    });
    const { port } = new URL(`http://127.0.0.1:${plugin.healthPort}`);
    expect(await ask({ port }, "/healthz")).toEqual([200, "ok\n"]);
  });

  test.each([
    ["no flags", [], /--endpoint/],
    ["a relative path", ["--endpoint", "csi.sock"], /absolute path/],
    ["a long node id", ["--node-id", "n".repeat(257)], /1 to 256 bytes/],
    ["a strange driver name", ["--driver-name", "-x-"], /domain name/],
    ["a strange health address", ["--health", "here"], /HOST.:PORT/],
    ["a strange policy", ["--pods", "never"], /required or optional/],
    ["a time that is none", ["--hold", "long"], /number of seconds/],
  ])("says what is wrong with %s", async (_, flags, message) => {
    const home = "/nonexistent";
    const { code, err } = await runBallast(flags, { home, program: pluginProgram });
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });

  test("says what is wrong with its places", async () => {
    await using scene = await openCsiScene();
    const flags = ["--endpoint", "/nonexistent/csi.sock", "--agent-socket", "/nonexistent/agent"];
    const more = ["--node-id", "n", "--kubelet-root", scene.kubelet.root];
    const state = ["--state", join(scene.path, "state")];
    const args = [...flags, ...more, ...state];
    const { code, err } = await runBallast(args, { home: scene.path, program: pluginProgram });
    expect(code).toBe(1);
    expect(err).toContain('"event":"failed"');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function ask(
  address: { socketPath: string } | { port: string },
  path: string,
): Promise<[number | undefined, string]> {
  const { promise, resolve, reject } = Promise.withResolvers<[number | undefined, string]>();
  get({ ...address, path }, (answer) => {
    text(answer).then((body) => resolve([answer.statusCode, body]), reject);
  }).on("error", reject);
  return promise;
}
