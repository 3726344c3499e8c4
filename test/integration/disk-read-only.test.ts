import { globSync, readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { listModels } from "../../src/model/stored-models.ts";
import { mountImage, mountSmallDisk, mountsMissing, remount, run } from "../support/disk-mounts.ts";
import {
  chunkBytes,
  failureOf,
  filesIn,
  openWeightsScene,
  pullTargets,
  type WeightsScene,
} from "../support/disk-scene.ts";
import { flipBit, mebi, readTree, snapshot } from "../support/workplace.ts";

const seeds = "abcdefgh";
const readOnly = "that filesystem is read-only";

describe.skipIf(mountsMissing())("on a read-only filesystem", () => {
  let scene: WeightsScene;
  let source: string;
  let model: string;
  let digest: string;

  beforeAll(async () => {
    scene = await openWeightsScene(seeds);
    ({ source, model, digest } = scene);
    const other = await scene.place.write("other", { "config.json": "{}" });
    await scene.place.push(other, "team/other:v1");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  /** Pulls until ext4 does what it does by itself when its disk fails, then mounts it anew. */
  async function pullWhileItFails(
    disk: { readonly path: string; readonly image: string },
    args: readonly string[],
    before: () => void,
  ) {
    scene.whenServed(seeds.length * chunkBytes - 2 * mebi, () => {
      before();
      remount(disk.path, "abort");
    });
    const stopped = await scene.run(["pull", model, ...args]);
    run("umount", disk.path);
    run("mount", "-o", "loop", disk.image, disk.path);
    expect(stopped.code).toBe(7);
    expect(failureOf(stopped)).toEqual({
      message: expect.stringMatching(/^STORE_IO: a local file .*EROFS/),
      hint: expect.stringContaining(readOnly),
    });
  }

  test.each(pullTargets)(
    "that was writable a moment ago, a pull into %s goes on when it is again",
    async (_, kind, flag) => {
      await using disk = await mountImage(64 * mebi, ["mkfs.ext4", "-q"]);
      const root = join(disk.path, "place");
      await pullWhileItFails(disk, [flag, root], () => run("sync", "-f", disk.path));
      const shown = await readdir(join(root, "trees")).catch(() => filesIn(root));
      expect(shown).toEqual([]);
      scene.served();
      const { path, bytes } = await scene.pull("team/model:v1", { [kind]: root });
      expect(await readTree(path)).toEqual(await readTree(source));
      expect(bytes.reused).toBeGreaterThanOrEqual(chunkBytes);
      expect(scene.served()).toBeLessThan(bytes.moved + 10_000);
    },
  );

  test("that lost what was not on its disk yet, nothing lost is taken for verified", async () => {
    await using disk = await mountImage(64 * mebi, ["mkfs.ext4", "-q"]);
    const root = join(disk.path, "store");
    let journalled = "";
    await pullWhileItFails(disk, ["--store", root], () => {
      const [journal = ""] = globSync("ingest/*/*/journal", { cwd: root });
      run("sync", join(root, journal));
      journalled = readFileSync(join(root, journal), "utf8");
    });
    const [journal = ""] = globSync("ingest/*/*/journal", { cwd: root });
    expect(readFileSync(join(root, journal), "utf8")).toBe(journalled);
    expect(journalled.split("\n").length).toBeGreaterThan(3);
    const { path } = await scene.pull("team/model:v1", { store: root });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test.each([
    ["a store", ["pull", "REF", "--store", "ROOT"], "STORE_IO"],
    ["a folder", ["pull", "REF", "-o", "ROOT"], "STORE_IO"],
    ["a layout", ["push", "SOURCE", "oci:ROOT:v1"], "STORE_IO"],
    ["a registry", ["registry", "serve", "--root", "ROOT", "--listen", "127.0.0.1:0"], "STORE_IO"],
  ])("%s cannot be made", async (_, words, code) => {
    await using disk = await mountSmallDisk({ bytes: mebi });
    remount(disk.path, "ro");
    const root = join(disk.path, "deep/place");
    const args = words.map((word) =>
      word.replace("ROOT", root).replace("REF", model).replace("SOURCE", source),
    );
    const refused = await scene.run(args);
    expect(refused).toMatchObject({ code: 7, out: "" });
    const { message, hint } = failureOf(refused);
    expect(message).toMatch(new RegExp(`^${code}: .*EROFS`));
    expect(message).toContain(disk.path);
    expect(hint).toContain(readOnly);
  });

  describe("a store that holds the model", () => {
    let disk: AsyncDisposable & { readonly path: string };
    let root: string;
    let tree: string;
    let before: string[];

    beforeAll(async () => {
      disk = await mountSmallDisk({ bytes: 64 * mebi });
      root = join(disk.path, "store");
      ({ path: tree } = await pull({ reference: model, store: root }));
      remount(disk.path, "ro");
      before = await snapshot(root);
    });
    afterAll(() => disk[Symbol.asyncDispose]());

    test("gives its path to a pull, by digest without asking anybody", async () => {
      scene.served();
      const named = await scene.run(["pull", model, "--store", root]);
      expect(named).toMatchObject({ code: 0, out: `${tree}\n` });
      const pinned = `${scene.ref("team/model")}@${digest}`;
      scene.place.requests.length = 0;
      const { requests, path } = await pull({ reference: pinned, store: root });
      expect([path, requests.registry, scene.place.requests.length]).toEqual([tree, 0, 0]);
      expect(scene.served()).toBe(0);
    });

    test("gives copies to an output folder, of a part of the model too", async () => {
      const output = scene.place.inside("copied");
      const args = ["pull", model, "--store", root, "-o", output, "--include", "config.json"];
      expect(await scene.run(args)).toMatchObject({ code: 0 });
      expect(await filesIn(output)).toEqual(["config.json"]);
      const { bytes } = await pull({ reference: model, store: root, output });
      expect(bytes.moved).toBe(0);
      expect(await readTree(output)).toEqual(await readTree(source));
    });

    test("says that it is read-only where a pull would have to write", async () => {
      const refused = {
        code: "STORE_IO",
        message: expect.stringMatching(new RegExp(`^the store ${root} is read-only and does not`)),
        hint: expect.stringContaining("--store"),
      };
      const other = scene.ref("team/other:v1");
      await expect(pull({ reference: other, store: root })).rejects.toMatchObject(refused);
      const part = pull({ reference: model, store: root, include: ["config.json"] });
      await expect(part).rejects.toMatchObject(refused);
      const told = await scene.run(["pull", other, "--store", root]);
      expect(told.code).toBe(7);
    });

    test("is listed and verified, but nothing can be removed or pinned", async () => {
      expect(await listModels({ store: root })).toMatchObject([{ trees: [tree] }]);
      expect(await scene.run(["store", "verify", "-q", "--store", root])).toEqual({
        code: 0,
        out: "",
        err: "",
      });
      for (const words of [["gc"], ["rm", model], ["pin", model]]) {
        const refused = await scene.run(["store", ...words, "--store", root]);
        expect(refused.code).toBe(7);
        expect(failureOf(refused)).toEqual({
          message: `STORE_IO: the store ${root} cannot be opened: EROFS`,
          hint: expect.stringContaining(readOnly),
        });
      }
    });

    test("stays as it was through all this", async () => {
      expect(await snapshot(root)).toEqual(before);
    });
  });

  test("a store that rots is told of and left as it is", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const root = join(disk.path, "store");
    await pull({ reference: model, store: root });
    const [rotten = ""] = (await readdir(join(root, "files"))).toSorted();
    await flipBit(join(root, "files", rotten), 1);
    remount(disk.path, "ro");
    const found = await scene.run(["store", "verify", "-q", "--store", root]);
    expect(found.code).toBe(6);
    expect(found.out).toMatch(
      /: \d+ bytes have rotted; the store is read-only, so it stays in use\n$/,
    );
    expect((await stat(join(root, "files", rotten))).isFile()).toBe(true);
  });

  test("a layout is read; a push of what it holds is refused like any other", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const layout = join(disk.path, "layout");
    await push({ source, reference: `oci:${layout}:v1` });
    remount(disk.path, "ro");
    const output = scene.place.inside("from layout");
    const pulled = await scene.run(["pull", `oci:${layout}:v1`, "-q", "-o", output]);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    expect(await readTree(output)).toEqual(await readTree(source));
    expect(await scene.run(["verify", "-q", `oci:${layout}:v1`])).toMatchObject({ code: 0 });
    const refused = await scene.run(["push", source, `oci:${layout}:v2`]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused)).toMatchObject({
      message: expect.stringMatching(new RegExp(`^STORE_IO: .*${layout}.*: EROFS$`)),
      hint: expect.stringContaining(readOnly),
    });
  });
});
