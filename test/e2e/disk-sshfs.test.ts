import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { startBallast } from "../support/ballast-command.ts";
import { mountNew, mountsMissing, run } from "../support/disk-mounts.ts";
import {
  chunkBytes,
  failureOf,
  openWeightsScene,
  type WeightsScene,
} from "../support/disk-scene.ts";
import { toolDirectory, toolPath, toolsMissing } from "../support/programs.ts";
import type { Mounted } from "../support/store-folders.ts";
import { readTree } from "../support/workplace.ts";

const missing = toolsMissing("sshfs") || mountsMissing();

describe.skipIf(missing)("a folder of another machine, over sshfs", () => {
  let scene: WeightsScene;
  let source: string;
  let model: string;

  beforeAll(async () => {
    scene = await openWeightsScene("abcdefgh");
    ({ source, model } = scene);
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  /** Mounts a folder of this machine by way of an SFTP server. */
  async function mountRemote(name: string, options = ""): Promise<Mounted> {
    const remote = scene.place.inside(name);
    await mkdir(remote);
    const command = scene.place.inside(`${name}-ssh`);
    const server = join(toolDirectory("sshfs"), "root/usr/lib/openssh/sftp-server");
    await writeFile(command, `#!/bin/sh\nexec ${server}\n`);
    await chmod(command, 0o755);
    return mountNew((path) => {
      run(toolPath("sshfs"), `host:${remote}`, path, "-o", `ssh_command=${command}${options}`);
    });
  }

  test.each([
    ["as it is", ""],
    ["without hard links", ",disable_hardlink"],
  ])("is filled by pull -o, %s", async (name, options) => {
    await using mount = await mountRemote(name.replaceAll(" ", "-"), options);
    const output = join(mount.path, "out");
    const pulled = await scene.run(["pull", model, "-o", output, "-q"]);
    expect(pulled).toEqual({ code: 0, out: `${output}\n`, err: "" });
    expect(await readTree(output)).toEqual(await readTree(source));
    expect(await scene.run(["verify", "-q", output])).toMatchObject({ code: 0 });
    expect((await pull({ reference: model, output })).bytes.moved).toBe(0);
    expect((await readdir(join(output, ".ballast"))).sort()).toEqual([
      "VERSION",
      "blobs",
      "pulled.json",
    ]);
  });

  test("takes copies of the files of a local store, and no links", async () => {
    await using mount = await mountRemote("copies");
    const [store, output] = [scene.place.inside("local"), join(mount.path, "out")];
    const args = ["pull", model, "--store", store, "-o", output];
    expect(await scene.run([...args, "-q"])).toMatchObject({ code: 0, err: "" });
    expect(await readTree(output)).toEqual(await readTree(source));
    const refused = await scene.run([
      "pull",
      model,
      "--store",
      store,
      "-o",
      `${output}2`,
      "--link",
    ]);
    expect(refused.code).toBe(2);
    expect(failureOf(refused).message).toContain("can have no hard links");
  });

  test("goes on after a kill, and one pull into it waits for another", async () => {
    await using mount = await mountRemote("killed");
    const output = join(mount.path, "out");
    const home = scene.place.inside("home");
    const started = startBallast(["pull", model, "-o", output], { home });
    const reached = Promise.withResolvers<void>();
    scene.whenServed(7 * chunkBytes, () => {
      started.child.kill("SIGSTOP");
      reached.resolve();
    });
    await reached.promise;
    expect(await readdir(join(output, ".ballast"))).toContain("lock");
    await expect(pull({ reference: model, output })).rejects.toMatchObject({
      code: "STORE_LOCKED",
      message: `${output} is in use by another process`,
    });
    const waiting = pull({ reference: model, output, waitForLock: true });
    started.child.kill("SIGKILL");
    await started.result;
    expect((await waiting).bytes.reused).toBeGreaterThanOrEqual(chunkBytes);
    expect(await readTree(output)).toEqual(await readTree(source));
  });

  test("is no place for a store, whatever the mount calls itself", async () => {
    await using mount = await mountRemote("store");
    const refused = await scene.run(["pull", model, "--store", join(mount.path, "store")]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused).message).toContain("a network filesystem (sshfs)");
    expect(await readdir(mount.path)).toEqual([]);
    await using disguised = await mountRemote("disguised", ",subtype=someone-elses");
    const root = join(disguised.path, "store");
    const unfit = await scene.run(["pull", model, "--store", root]);
    expect(unfit.code).toBe(7);
    expect(failureOf(unfit)).toEqual({
      message: `STORE_IO: the store ${root} would be on a filesystem that cannot hold one: it makes no sockets (EPERM)`,
      hint: expect.stringContaining("pull into a folder there with -o"),
    });
  });

  test("holds a layout", async () => {
    await using mount = await mountRemote("layout");
    const reference = `oci:${join(mount.path, "layout")}:v1`;
    expect(await scene.run(["push", source, reference, "-q"])).toMatchObject({ code: 0 });
    expect(await scene.run(["verify", reference, "-q"])).toMatchObject({ code: 0 });
    const store = scene.place.inside("from-layout");
    const { path } = await pull({ reference, store });
    expect(await readTree(path)).toEqual(await readTree(source));
  });
});
