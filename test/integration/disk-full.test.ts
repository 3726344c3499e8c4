import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { push } from "../../src/model/push.ts";
import { pinModel, verifyStore } from "../../src/model/stored-models.ts";
import { verify } from "../../src/model/verify.ts";
import { startBallast } from "../support/ballast-command.ts";
import { mountSmallDisk, mountsMissing, remount } from "../support/disk-mounts.ts";
import {
  chunkBytes,
  failureOf,
  filesIn,
  fillDisk,
  openWeightsScene,
  pullTargets,
  type WeightsScene,
  writeWeights,
} from "../support/disk-scene.ts";
import { mebi, readTree, seededBytes } from "../support/workplace.ts";

const seeds = "abcdefghijkl";
const modelBytes = seeds.length * chunkBytes;
const numbers = /: \d+ bytes free of \d+/;

describe.skipIf(mountsMissing())("on a disk that is full", () => {
  let scene: WeightsScene;
  let source: string;
  let model: string;
  let small: string;

  beforeAll(async () => {
    scene = await openWeightsScene(seeds);
    ({ source, model } = scene);
    const tiny = await scene.place.write("tiny", { "config.json": "{}" });
    await scene.place.push(tiny, "team/small:v1");
    small = scene.ref("team/small:v1");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  test.each(pullTargets)(
    "a pull into %s that has no room fetches nothing",
    async (_, kind, flag) => {
      await using disk = await mountSmallDisk({ bytes: 8 * mebi });
      const root = join(disk.path, "place");
      scene.served();
      const refused = await scene.run(["pull", model, flag, root]);
      expect(refused.code).toBe(7);
      const { message, hint } = failureOf(refused);
      expect(message).toMatch(
        new RegExp(`^NO_SPACE: not enough space at ${root}: \\d{8} bytes to write, \\d+ usable$`),
      );
      expect(hint).toMatch(/^free space there, .*or choose another (place|folder)$/);
      expect(scene.served()).toBeLessThan(10_000);
      remount(disk.path, `size=${64 * mebi}`);
      const { path } = await scene.pull("team/model:v1", { [kind]: root });
      expect(await readTree(path)).toEqual(await readTree(source));
    },
  );

  test.each(pullTargets)(
    "a pull into %s that somebody else fills meanwhile says where, shows nothing, and goes on later",
    async (_, kind, flag) => {
      await using disk = await mountSmallDisk({ bytes: 64 * mebi });
      const root = join(disk.path, "place");
      const others = new DisposableStack();
      scene.served();
      scene.whenServed(modelBytes - 4 * mebi, () => void others.use(fillDisk(disk.path)));
      const stopped = await scene.run(["pull", model, flag, root]);
      expect(stopped.code).toBe(7);
      const { message, hint } = failureOf(stopped);
      expect(message).toMatch(new RegExp(`^NO_SPACE: no space left at ${root}${numbers.source}`));
      expect(hint).toContain("it continues where it stopped");
      expect(scene.served()).toBeGreaterThanOrEqual(modelBytes - 4 * mebi);
      const shown = await readdir(join(root, "trees")).catch(() => filesIn(root));
      expect(shown).toEqual([]);
      others.dispose();
      const { path, bytes } = await scene.pull("team/model:v1", { [kind]: root });
      expect(await readTree(path)).toEqual(await readTree(source));
      expect(bytes.reused).toBeGreaterThanOrEqual(chunkBytes);
      expect(scene.served()).toBeLessThan(bytes.moved + 10_000);
      expect(bytes.moved + bytes.reused).toBe(bytes.total);
    },
  );

  test("a folder that has no room for copies of the store's files is refused before the first byte", async () => {
    await using disk = await mountSmallDisk({ bytes: 8 * mebi });
    const target = { store: scene.place.inside("roomy"), output: join(disk.path, "out") };
    scene.served();
    const args = ["pull", model, "--store", target.store, "-o", target.output];
    const { message } = failureOf(await scene.run(args));
    expect(message).toMatch(new RegExp(`^NO_SPACE: not enough space at ${target.output}:`));
    expect(scene.served()).toBeLessThan(10_000);
    remount(disk.path, `size=${64 * mebi}`);
    const { path } = await scene.pull("team/model:v1", target);
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("a folder whose files are replaced needs no room for both versions", async () => {
    await using disk = await mountSmallDisk({ bytes: 48 * mebi });
    const target = { store: scene.place.inside("two versions"), output: join(disk.path, "out") };
    const versions = ["v1", "v2"].map((tag) => {
      const files = Array.from({ length: 15 }, (_, at) => [
        `f${at}`,
        seededBytes(`${tag} ${at}`, 2 * mebi),
      ]);
      return [tag, Object.fromEntries(files)] as const;
    });
    for (const [tag, files] of versions) {
      const written = await scene.place.write(tag, files);
      await scene.place.push(written, `team/replaced:${tag}`);
      const { path } = await scene.pull(`team/replaced:${tag}`, target);
      expect(await readTree(path)).toEqual(await readTree(written));
    }
  });

  test("a folder that fills while copies are made loses no copy, and nothing is fetched again", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const out = join(disk.path, "out");
    const target = { store: scene.place.inside("other"), output: out };
    const others = new DisposableStack();
    scene.whenServed(modelBytes, () => void others.use(fillDisk(disk.path)));
    const stopped = await scene.run(["pull", model, "--store", target.store, "-o", out]);
    expect(stopped.code).toBe(7);
    expect(failureOf(stopped).message).toMatch(
      new RegExp(`^NO_SPACE: no space left at ${out}${numbers.source}`),
    );
    expect(await filesIn(out)).not.toContain("model.safetensors");
    expect(await readdir(join(out, ".ballast"))).not.toContain("placing");
    others.dispose();
    scene.served();
    const { path, bytes } = await scene.pull("team/model:v1", target);
    expect(bytes.moved).toBe(0);
    expect(scene.served()).toBe(0);
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("a store without a block left says so, opens, and what is in it can be had, pinned and removed", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const root = join(disk.path, "store");
    const store = ["--store", root];
    await scene.pull("team/model:v1", { store: root });
    const full = fillDisk(disk.path);
    const refused = await scene.run(["pull", small, ...store]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused).message).toMatch(
      new RegExp(`^NO_SPACE: no space left at ${root}${numbers.source}`),
    );
    expect((await scene.pull("team/model:v1", { store: root })).bytes.moved).toBe(0);
    expect((await verifyStore({ store: root })).problems).toEqual([]);
    expect(await scene.run(["store", "pin", model, ...store])).toMatchObject({ code: 0 });
    await pinModel({ store: root, model, pinned: false });
    expect(await scene.run(["store", "rm", model, ...store])).toMatchObject({ code: 0 });
    expect(await readdir(join(root, "files"))).toEqual([]);
    await scene.pull("team/small:v1", { store: root });
    full[Symbol.dispose]();
  });

  test("the store of a killed process is opened and cleared without a block left", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const root = join(disk.path, "store");
    const killed = Promise.withResolvers<void>();
    await scene.pull("team/small:v1", { store: root });
    const started = startBallast(["pull", model, "--store", root], {
      home: scene.place.inside("home"),
    });
    scene.whenServed(chunkBytes, () => {
      started.child.kill("SIGKILL");
      killed.resolve();
    });
    await killed.promise;
    await started.result;
    expect(await readdir(root)).toContain("lock");
    using _full = fillDisk(disk.path);
    const cleared = await scene.run([
      "store",
      "gc",
      "--max-bytes",
      "0B",
      "--json",
      "--store",
      root,
    ]);
    expect(cleared).toMatchObject({ code: 0 });
    expect(JSON.parse(cleared.out).removed).toHaveLength(2);
    expect(await readdir(join(root, "ingest"))).toEqual([]);
  });

  test("a push into a layout says where, shows nothing, keeps what was there, and goes on later", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const layout = join(disk.path, "layout");
    const first = await writeWeights(scene.place, "first", "xyz");
    await push({ source: first, reference: `oci:${layout}:v1` });
    {
      using _full = fillDisk(disk.path);
      const refused = await scene.run(["push", source, `oci:${layout}:v2`]);
      expect(refused.code).toBe(7);
      expect(failureOf(refused)).toMatchObject({
        message: expect.stringMatching(
          new RegExp(`^NO_SPACE: .*oci:${layout}: no space left at ${layout}${numbers.source}`),
        ),
        hint: expect.stringContaining("it continues where it stopped"),
      });
    }
    remount(disk.path, `size=${20 * mebi}`);
    const stopped = await scene.run(["push", source, `oci:${layout}:v2`]);
    expect(failureOf(stopped).message).toMatch(/^NO_SPACE: /);
    await expect(verify({ target: `oci:${layout}:v2` })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect(await readdir(layout)).not.toContain("uploads");
    expect((await verify({ target: `oci:${layout}:v1` })).problems).toEqual([]);
    remount(disk.path, `size=${64 * mebi}`);
    await push({ source, reference: `oci:${layout}:v2` });
    expect((await verify({ target: `oci:${layout}:v2` })).problems).toEqual([]);
  });

  test("a layout cannot be made: no tag, no half folder that is in the way later", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi });
    const layout = join(disk.path, "layout");
    {
      using _full = fillDisk(disk.path);
      const refused = await scene.run(["push", source, `oci:${layout}:v1`]);
      expect(refused.code).toBe(7);
      expect(failureOf(refused).message).toMatch(
        new RegExp(`^NO_SPACE: .*no space left at ${layout}${numbers.source}`),
      );
    }
    await push({ source, reference: `oci:${layout}:v1` });
    expect((await verify({ target: `oci:${layout}:v1` })).problems).toEqual([]);
  });
});
