import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findNetworkFilesystem } from "../../src/store/local-filesystem.ts";
import { mountFuse } from "../support/disk-fuse.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { type DiskScene, failureOf, openDiskScene } from "../support/disk-scene.ts";

describe.skipIf(mountsMissing())("a network filesystem", () => {
  let scene: DiskScene;
  let model: string;

  beforeAll(async () => {
    scene = await openDiskScene();
    const source = await scene.place.write("source", { "config.json": "{}" });
    await scene.place.push(source, "team/model:v1");
    model = scene.ref("team/model:v1");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  test("is no place for a store, and stays as it is", async () => {
    await using mount = await mountFuse("fuse.sshfs", "host:/models");
    const root = join(mount.path, "deep/store");
    scene.served();
    for (const args of [["--store", root], []]) {
      const env = { BALLAST_STORE: root };
      const refused = await scene.run(["pull", model, ...args], { env });
      expect(refused).toMatchObject({ code: 7, out: "" });
      expect(failureOf(refused)).toEqual({
        message: `STORE_IO: the store ${root} would be on a network filesystem (sshfs), which cannot hold one`,
        hint: expect.stringMatching(/local disk with --store or BALLAST_STORE, or .* with -o$/),
      });
    }
    expect(scene.served()).toBe(0);
  });

  test.each([
    ["fuse.s3fs", "bucket", "s3fs"],
    ["fuse", "mountpoint-s3", "mountpoint-s3"],
    ["fuse.mergerfs", "a:b", undefined],
    ["fuse.someone-elses", "host:/", undefined],
  ])("behind FUSE is told by the program: %s of %s is %s", async (type, source, name) => {
    await using mount = await mountFuse(type, source);
    expect(await findNetworkFilesystem(join(mount.path, "store"))).toBe(name);
  });

  test("whose server has gone is told of, with what to do", async () => {
    await using mount = await mountFuse("fuse.sshfs", "host:/models");
    await mount.server?.kill();
    for (const flag of ["--store", "-o"]) {
      const refused = await scene.run(["pull", model, flag, join(mount.path, "place")]);
      expect(refused.code).toBe(7);
      expect(failureOf(refused)).toEqual({
        message: expect.stringMatching(new RegExp(`^STORE_IO: .*ENOTCONN: .*'${mount.path}`)),
        hint: "the server of that mount is gone: mount it again, or choose another place",
      });
    }
  });
});

test("this machine's own disks are none", async () => {
  for (const path of ["/", "/dev/shm", "/not/there/yet"])
    expect(await findNetworkFilesystem(path)).toBeUndefined();
});
