import { openSync, readFileSync, readSync, statfsSync, writeSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mountImage, mountSmallDisk, mountsMissing, run } from "../support/disk-mounts.ts";
import {
  chunkBytes,
  failureOf,
  openWeightsScene,
  type WeightsScene,
  writeWeights,
} from "../support/disk-scene.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { mebi, readTree } from "../support/workplace.ts";

const seeds = "abcdefghijkl";
const modelBytes = seeds.length * chunkBytes;

const missing = toolsMissing("mkfs.btrfs", "btrfs", "mkfs.xfs") || mountsMissing();

describe.skipIf(missing)("a real filesystem", () => {
  let scene: WeightsScene;
  let source: string;
  let next: string;
  let model: string;

  const ext4 = () => mountImage(200 * mebi, ["mkfs.ext4", "-q"]);
  const xfs = () => mountImage(320 * mebi, [toolPath("mkfs.xfs"), "-q", "-m", "reflink=1"]);
  const btrfs = () => mountImage(200 * mebi, [toolPath("mkfs.btrfs"), "-q"]);
  const tmpfs = () => mountSmallDisk({ bytes: 200 * mebi });

  beforeAll(async () => {
    scene = await openWeightsScene(seeds);
    ({ source } = scene);
    next = await writeWeights(scene.place, "next", seeds.replace("l", "x"));
    await scene.place.push(next, "team/model:v2");
    model = scene.ref("team/model");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  const ballast = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await scene.run([...args, "-q"]);
    expect({ args, code, err }).toEqual({ args, code: 0, err: "" });
    return out.trim();
  };

  /** Bytes taken, when all that was written is on the disk. */
  const used = (path: string): number => {
    run("sync", "-f", path);
    const { blocks, bfree, bsize } = statfsSync(path);
    return (blocks - bfree) * bsize;
  };

  test.each([
    ["ext4", ext4, false],
    ["XFS", xfs, true],
    ["btrfs", btrfs, true],
    ["tmpfs", tmpfs, false],
  ])("%s holds a store, its copies and links, and is empty after gc", async (_, make, clones) => {
    await using disk = await make();
    const store = join(disk.path, "store");
    const tree = await ballast("pull", `${model}:v1`, "--store", store);
    expect(await readTree(tree)).toEqual(await readTree(source));

    const before = used(disk.path);
    const copies = await ballast(
      "pull",
      `${model}:v1`,
      "--store",
      store,
      "-o",
      join(disk.path, "copies"),
    );
    expect(await readTree(copies)).toEqual(await readTree(source));
    const grown = used(disk.path) - before;
    if (clones) expect(grown).toBeLessThan(modelBytes / 4);
    else expect(grown).toBeGreaterThanOrEqual(modelBytes);

    const links = await ballast(
      "pull",
      `${model}:v1`,
      "--store",
      store,
      "-o",
      join(disk.path, "links"),
      "--link",
    );
    const inode = async (folder: string) => (await stat(join(folder, "model.safetensors"))).ino;
    expect(await inode(links)).toBe(await inode(tree));
    expect(await inode(copies)).not.toBe(await inode(tree));

    scene.served();
    const second = await ballast("pull", `${model}:v2`, "--store", store);
    expect(scene.served()).toBeLessThan(chunkBytes + 20_000);
    expect(await readTree(second)).toEqual(await readTree(next));

    const alone = await ballast("pull", `${model}:v1`, "-o", join(disk.path, "alone"));
    scene.served();
    await ballast("pull", `${model}:v2`, "-o", alone);
    expect(scene.served()).toBeLessThan(chunkBytes + 20_000);
    expect(await readTree(alone)).toEqual(await readTree(next));
    await ballast("verify", alone);

    await ballast("store", "verify", "--store", store);
    await ballast("store", "gc", "--max-bytes", "0B", "--store", store);
    for (const folder of ["files", "trees", "ingest", "trash"])
      expect(await readdir(join(store, folder))).toEqual([]);
    expect(await readTree(links)).toEqual(await readTree(source));
  });

  test.each([
    ["XFS", xfs],
    ["btrfs", btrfs],
  ])("%s makes copies that share their blocks without room for others", async (_, make) => {
    await using disk = await make();
    const store = join(disk.path, "store");
    await ballast("pull", `${model}:v1`, "--store", store);
    const { bavail, bsize } = statfsSync(disk.path);
    run("fallocate", "-l", String(bavail * bsize - 16 * mebi), join(disk.path, "other"));
    const copies = await ballast(
      "pull",
      `${model}:v1`,
      "--store",
      store,
      "-o",
      join(disk.path, "out"),
    );
    expect(await readTree(copies)).toEqual(await readTree(source));
  });

  test("btrfs with a quota that is used up says so, shows nothing, and goes on later", async () => {
    await using disk = await btrfs();
    run(toolPath("btrfs"), "quota", "enable", disk.path);
    const limitTo = (volume: string, limit: string) =>
      run(toolPath("btrfs"), "qgroup", "limit", limit, join(disk.path, volume));
    const makeVolume = (name: string, limit: string) => {
      run(toolPath("btrfs"), "subvolume", "create", join(disk.path, name));
      limitTo(name, limit);
      return join(disk.path, name);
    };
    for (const [kind, flag] of [
      ["store", "--store"],
      ["output", "-o"],
    ] as const) {
      const root = join(makeVolume(kind, "16M"), "place");
      const stopped = await scene.run(["pull", `${model}:v1`, flag, root]);
      expect(stopped.code).toBe(7);
      expect(failureOf(stopped)).toEqual({
        message: expect.stringMatching(/^NO_SPACE: .*the disk quota.* is used up/),
        hint: expect.stringContaining("it continues where it stopped"),
      });
      limitTo(kind, "none");
      const { path } = await scene.pull("team/model:v1", { [kind]: root });
      expect(await readTree(path)).toEqual(await readTree(source));
    }
    const layout = join(makeVolume("layout", "4M"), "place");
    const refused = await scene.run(["push", source, `oci:${layout}:v1`]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused).message).toMatch(/^NO_SPACE: .*the disk quota.* is used up$/);
  });

  test.each([
    ["btrfs, which knows", btrfs, "cannot be read or have rotted", ".unreadable"],
    ["ext4, which does not", ext4, "have rotted", ""],
  ])(
    "a bit that flips on the disk below %s is found, and healed",
    async (_, make, told, suffix) => {
      await using disk = await make();
      const store = join(disk.path, "store");
      const tree = await ballast("pull", `${model}:v1`, "--store", store);
      run("umount", disk.path);
      flipOnDisk(
        disk.image,
        readFileSync(join(source, "model.safetensors")).subarray(3.5 * chunkBytes),
      );
      run("mount", "-o", "loop", disk.image, disk.path);
      const found = await scene.run(["store", "verify", "-q", "--store", store]);
      expect(found.code).toBe(6);
      expect(found.out).toMatch(
        new RegExp(`^model\\.safetensors: ${chunkBytes} bytes ${told}; moved to .*${suffix}\n$`),
      );
      const healed = await scene.pull("team/model:v1", { store });
      expect(healed.path).toBe(tree);
      expect(await readTree(tree)).toEqual(await readTree(source));
      await ballast("store", "verify", "--store", store);
    },
  );
});

/** Flips one bit of the first block that holds these bytes. */
function flipOnDisk(image: string, bytes: Buffer): void {
  const wanted = bytes.subarray(0, 64);
  const device = openSync(image, "r+");
  const block = Buffer.alloc(mebi + wanted.byteLength);
  for (let at = 0; readSync(device, block, 0, block.byteLength, at) > 0; at += mebi) {
    const found = block.indexOf(wanted);
    if (found < 0) continue;
    writeSync(device, Buffer.from([wanted.readUInt8(0) ^ 1]), 0, 1, at + found);
    return;
  }
  throw new Error("the bytes are not on the disk");
}
