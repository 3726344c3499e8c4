import { chmod, open, readdir, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { verifyStore } from "../../src/model/stored-models.ts";
import { mountImage, mountsMissing, run } from "../support/disk-mounts.ts";
import {
  chunkBytes,
  failureOf,
  openWeightsScene,
  type WeightsScene,
  writeWeights,
} from "../support/disk-scene.ts";
import { makeFolder } from "../support/store-folders.ts";
import { mebi, readTree } from "../support/workplace.ts";

const modelBytes = 8 * chunkBytes;

let scene: WeightsScene;
let source: string;
let next: string;
let model: string;

beforeAll(async () => {
  scene = await openWeightsScene("abcdefgh");
  ({ source, model } = scene);
  next = await writeWeights(scene.place, "next", "abcdefgx");
  await scene.place.push(next, "team/model:v2");
});
afterAll(() => scene[Symbol.asyncDispose]());
beforeEach(() => void scene.served());

/** The id of the weights in a store, its only large file. */
async function weightsOf(root: string): Promise<string> {
  for (const id of await readdir(join(root, "files")))
    if ((await stat(join(root, "files", id))).size > mebi) return id;
  throw new Error("no weights");
}

/** Flips a bit as a disk does: size, times and mode stay. */
async function rot(path: string, offset: number): Promise<void> {
  const { atime, mtime, mode } = await stat(path);
  await chmod(path, 0o644);
  {
    await using file = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte.writeUInt8(byte.readUInt8(0) ^ 1);
    await file.write(byte, 0, 1, offset);
  }
  await chmod(path, mode);
  await utimes(path, atime, mtime);
}

describe("a file of the store whose bytes have rotted", () => {
  test("is found by verify and put aside; only its rotten chunk is fetched again", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    const { path } = await scene.pull("team/model:v1", { store: root });
    const id = await weightsOf(root);
    await rot(join(root, "files", id), 3 * chunkBytes + 5000);
    scene.served();

    const found = await scene.run(["store", "verify", "-q", "--store", root]);
    expect(found.code).toBe(6);
    expect(found.out).toBe(
      `model.safetensors: ${chunkBytes} bytes have rotted; moved to quarantine/${id}\n`,
    );
    expect(failureOf(found)).toEqual({
      message: "VERIFY_FAILED: the store has 1 problem",
      hint: expect.stringContaining("pull the models again"),
    });
    expect(await readdir(join(root, "quarantine"))).toEqual([id]);
    expect(await readdir(join(root, "trees"))).toEqual([]);
    const listed = await scene.run(["store", "ls", "--store", root]);
    expect(listed.out).toMatch(/ incomplete +v1 /);

    const healed = await scene.run(["pull", model, "--store", root]);
    expect(healed).toMatchObject({ code: 0, out: `${path}\n` });
    expect(healed.err).toContain(`quarantine/${id} has rotted`);
    expect(scene.served()).toBeLessThan(chunkBytes + 10_000);
    expect(await readTree(path)).toEqual(await readTree(source));
    expect((await verifyStore({ store: root })).problems).toEqual([]);
  });

  test("cut short, is found as well; what is left of it is not fetched again", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    await scene.pull("team/model:v1", { store: root });
    const id = await weightsOf(root);
    await chmod(join(root, "files", id), 0o644);
    {
      await using file = await open(join(root, "files", id), "r+");
      await file.truncate(5 * chunkBytes + chunkBytes / 2);
    }
    expect((await verifyStore({ store: root })).problems).toMatchObject([
      { path: "model.safetensors" },
    ]);
    scene.served();
    const { path, warnings } = await scene.pull("team/model:v1", { store: root });
    expect(warnings).toEqual([]);
    expect(scene.served()).toBeLessThan(3 * chunkBytes + 10_000);
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("is found while another model copies from it, and put aside; both models come right", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    await scene.pull("team/model:v1", { store: root });
    const id = await weightsOf(root);
    await rot(join(root, "files", id), 3 * chunkBytes + 5000);
    scene.served();
    const pulled = await scene.run(["pull", scene.ref("team/model:v2"), "--store", root]);
    expect(pulled.code).toBe(0);
    expect(pulled.err).toContain(`files/${id} has rotted; what is wrong of it is fetched again`);
    expect(await readTree(pulled.out.trim())).toEqual(await readTree(next));
    expect(scene.served()).toBeLessThan(modelBytes);
    expect(await readdir(join(root, "quarantine"))).toEqual([id]);
    expect(await readdir(join(root, "files"))).not.toContain(id);
    const { path } = await scene.pull("team/model:v1", { store: root });
    expect(await readTree(path)).toEqual(await readTree(source));
    expect(scene.served()).toBeLessThan(chunkBytes + 10_000);
    expect((await verifyStore({ store: root })).problems).toEqual([]);
  });

  test("is gone for good after gc, and is fetched as a whole", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    await scene.pull("team/model:v1", { store: root });
    await rot(join(root, "files", await weightsOf(root)), 10);
    await verifyStore({ store: root });
    expect(await scene.run(["store", "gc", "-q", "--store", root])).toMatchObject({ code: 0 });
    expect(await readdir(join(root, "quarantine"))).toEqual([]);
    scene.served();
    const { path, warnings } = await scene.pull("team/model:v1", { store: root });
    expect(warnings).toEqual([]);
    expect(scene.served()).toBeGreaterThanOrEqual(modelBytes);
    expect(await readTree(path)).toEqual(await readTree(source));
  });
});

describe.skipIf(mountsMissing())("a file of the store that the disk cannot read any more", () => {
  test("is found by verify and put aside, and fetched again", async () => {
    const flags = ["-O", "^has_journal,^extent,^64bit,^metadata_csum"];
    await using disk = await mountImage(64 * mebi, ["mkfs.ext4", "-q", ...flags]);
    const root = join(disk.path, "store");
    const { path } = await scene.pull("team/model:v1", { store: root });
    const id = await weightsOf(root);
    run("umount", disk.path);
    // The block that lists where the file's blocks from the 13th on are, far behind the disk's end.
    const damage = `set_inode_field /store/files/${id} block[IND] 33000000`;
    run("debugfs", "-w", "-R", damage, disk.image);
    run("mount", "-o", "loop", disk.image, disk.path);

    const found = await scene.run(["store", "verify", "-q", "--store", root]);
    expect(found.code).toBe(6);
    expect(found.out).toMatch(
      new RegExp(
        `^model\\.safetensors: \\d+ bytes cannot be read .*quarantine/${id}\\.unreadable\n$`,
      ),
    );
    const healed = await scene.pull("team/model:v1", { store: root });
    expect(healed.path).toBe(path);
    expect(await readTree(path)).toEqual(await readTree(source));
    await scene.pull("team/model:v2", { store: root });
    expect((await verifyStore({ store: root })).problems).toEqual([]);
  });
});
