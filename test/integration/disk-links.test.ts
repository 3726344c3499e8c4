import { linkSync, mkdirSync } from "node:fs";
import { mkdir, readdir, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { verifyStore } from "../../src/model/stored-models.ts";
import { mountImage, mountSmallDisk, mountsMissing } from "../support/disk-mounts.ts";
import { type DiskScene, failureOf, openDiskScene } from "../support/disk-scene.ts";
import { mebi, readTree, seededBytes } from "../support/workplace.ts";

/** What ext4 gives an inode. */
const mostLinks = 65_000;

describe.skipIf(mountsMissing())("hard links", () => {
  let scene: DiskScene;
  let source: string;
  let model: string;

  beforeAll(async () => {
    scene = await openDiskScene();
    const shared = seededBytes("shared", 100_000);
    const files = { "a.bin": shared, "b/c.bin": shared, "config.json": "{}" };
    source = await scene.place.write("source", files);
    await scene.place.push(source, "team/model:v1");
    model = scene.ref("team/model:v1");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  test("that an inode has no more of become copies, in trees and in output folders", async () => {
    await using disk = await mountImage(64 * mebi, ["mkfs.ext4", "-q", "-O", "^has_journal"]);
    const root = join(disk.path, "store");
    const { path } = await pull({ reference: model, store: root });
    const { ino, nlink } = await stat(join(path, "a.bin"));
    const elsewhere = join(disk.path, "elsewhere");
    mkdirSync(elsewhere);
    for (let at = nlink; at < mostLinks; at += 1)
      linkSync(join(path, "a.bin"), join(elsewhere, String(at)));
    expect((await stat(join(path, "a.bin"))).nlink).toBe(mostLinks);

    const some = await scene.run(["pull", model, "--store", root, "--include", "*.bin", "-q"]);
    expect(some).toMatchObject({ code: 0, err: "" });
    const tree = some.out.trim();
    const { "config.json": _, ...chosen } = await readTree(source);
    expect(await readTree(tree)).toEqual(chosen);
    for (const name of ["a.bin", "b/c.bin"]) {
      const copy = await stat(join(tree, name));
      expect(copy.ino).not.toBe(ino);
      expect(copy.mode & 0o777).toBe(0o444);
    }

    const output = join(disk.path, "linked");
    const linked = ["pull", model, "--store", root, "-o", output, "--link", "-q"];
    expect(await scene.run(linked)).toMatchObject({ code: 0, err: "" });
    expect(await readTree(output)).toEqual(await readTree(source));
    expect((await stat(join(output, "a.bin"))).ino).not.toBe(ino);
    expect((await stat(join(output, "config.json"))).nlink).toBeGreaterThan(2);

    await unlink(join(elsewhere, String(mostLinks - 1)));
    const one = await pull({ reference: model, store: root, include: ["b/c.bin"] });
    expect((await stat(join(one.path, "b/c.bin"))).ino).toBe(ino);
    expect((await verifyStore({ store: root })).problems).toEqual([]);
  });

  test("into a folder on another filesystem are refused before anything is fetched", async () => {
    await using disk = await mountSmallDisk({ bytes: 8 * mebi });
    const [store, output] = [scene.place.inside("store"), join(disk.path, "out")];
    await mkdir(output);
    await writeFile(join(output, "notes.txt"), "mine");
    scene.served();
    const refused = await scene.run(["pull", model, "--store", store, "-o", output, "--link"]);
    expect(refused.code).toBe(2);
    expect(failureOf(refused)).toEqual({
      message: expect.stringContaining(
        `INVALID_ARGUMENT: ${output} can have no hard links into the store ${store}`,
      ),
      hint: expect.stringContaining("leave out --link"),
    });
    expect(scene.served()).toBeLessThan(10_000);
    expect((await readdir(output)).sort()).toEqual([".ballast", "notes.txt"]);
    await pull({ reference: model, store, output });
    const { "notes.txt": _, ...files } = await readTree(output);
    expect(files).toEqual(await readTree(source));
  });
});
