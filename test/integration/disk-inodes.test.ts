import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { push } from "../../src/model/push.ts";
import { verify } from "../../src/model/verify.ts";
import { startBallast } from "../support/ballast-command.ts";
import { mountSmallDisk, mountsMissing, remount } from "../support/disk-mounts.ts";
import {
  type DiskScene,
  failureOf,
  filesIn,
  openDiskScene,
  pullTargets,
  takeInodes,
} from "../support/disk-scene.ts";
import { mebi, readTree, seededBytes } from "../support/workplace.ts";

const count = 300;
const fileBytes = 20_000;
const numbers = /: \d+ free of \d+/;

describe.skipIf(mountsMissing())("on a disk without inodes", () => {
  let scene: DiskScene;
  let source: string;
  let model: string;

  beforeAll(async () => {
    scene = await openDiskScene();
    const files = Array.from({ length: count }, (_, at) => [
      `d${at % 7}/f${at}`,
      seededBytes(`file ${at}`, fileBytes),
    ]);
    source = await scene.place.write("source", Object.fromEntries(files));
    await scene.place.push(source, "team/many:v1");
    model = scene.ref("team/many:v1");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  test.each(pullTargets)("a pull of many files into %s fetches nothing", async (_, kind, flag) => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi, inodes: 100 });
    const root = join(disk.path, "place");
    scene.served();
    const refused = await scene.run(["pull", model, flag, root]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused)).toMatchObject({
      message: expect.stringMatching(
        new RegExp(
          `^NO_SPACE: not enough inodes at ${root}: ${count} files to make, \\d\\d inodes free$`,
        ),
      ),
      hint: expect.stringContaining("free"),
    });
    expect(scene.served()).toBeLessThan(100_000);
    remount(disk.path, "nr_inodes=2000");
    const { path } = await scene.pull("team/many:v1", { [kind]: root });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test.each(pullTargets)(
    "that somebody else takes meanwhile, a pull into %s says so, and goes on later",
    async (_, kind, flag) => {
      await using disk = await mountSmallDisk({ bytes: 64 * mebi, inodes: 2000 });
      const root = join(disk.path, "place");
      const others = new DisposableStack();
      scene.served();
      scene.whenServed(3 * mebi, () => void others.use(takeInodes(disk.path)));
      const stopped = await scene.run(["pull", model, flag, root]);
      expect(stopped.code).toBe(7);
      expect(failureOf(stopped)).toMatchObject({
        message: expect.stringMatching(
          new RegExp(`^NO_SPACE: no inodes left at ${disk.path}(/place)?${numbers.source}`),
        ),
        hint: expect.stringContaining("it continues where it stopped"),
      });
      const shown = await readdir(join(root, "trees")).catch(() => filesIn(root));
      expect(shown).toEqual([]);
      others.dispose();
      scene.served();
      const { path, bytes } = await scene.pull("team/many:v1", { [kind]: root });
      expect(await readTree(path)).toEqual(await readTree(source));
      expect(bytes.reused).toBeGreaterThan(mebi);
      expect(scene.served()).toBeLessThan(bytes.moved + 10_000);
    },
  );

  test("for its tree, a pull tells so, and the next one fetches nothing", async () => {
    // Of a tmpfs, each link takes one: enough for the files, not for the tree as well.
    await using disk = await mountSmallDisk({ bytes: 64 * mebi, inodes: count + 150 });
    const root = join(disk.path, "store");
    const stopped = await scene.run(["pull", model, "--store", root]);
    expect(failureOf(stopped).message).toMatch(
      new RegExp(`^NO_SPACE: no inodes left at ${root}${numbers.source}`),
    );
    expect(await readdir(join(root, "trash"))).toEqual([]);
    remount(disk.path, "nr_inodes=2000");
    scene.served();
    const { path, bytes } = await scene.pull("team/many:v1", { store: root });
    expect([bytes.moved, scene.served()]).toEqual([0, 0]);
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("the store of a killed process is opened and cleared", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi, inodes: 2000 });
    const root = join(disk.path, "store");
    const killed = Promise.withResolvers<void>();
    const started = startBallast(["pull", model, "--store", root], {
      home: scene.place.inside("home"),
    });
    scene.whenServed(3 * mebi, () => {
      started.child.kill("SIGKILL");
      killed.resolve();
    });
    await killed.promise;
    await started.result;
    expect(await readdir(root)).toContain("lock");
    using _none = takeInodes(disk.path);
    const cleared = await scene.run(["store", "gc", "--max-bytes", "0B", "--store", root]);
    expect(cleared).toMatchObject({ code: 0 });
    expect(await readdir(join(root, "ingest"))).toEqual([]);
  });

  test("a push into a layout says so, and works later", async () => {
    await using disk = await mountSmallDisk({ bytes: 64 * mebi, inodes: 100 });
    const layout = join(disk.path, "layout");
    {
      using _none = takeInodes(disk.path);
      const refused = await scene.run(["push", source, `oci:${layout}:v1`]);
      expect(refused.code).toBe(7);
      expect(failureOf(refused).message).toMatch(
        new RegExp(`^NO_SPACE: .*no inodes left at ${layout}${numbers.source}`),
      );
    }
    await push({ source, reference: `oci:${layout}:v1` });
    expect((await verify({ target: `oci:${layout}:v1` })).problems).toEqual([]);
  });
});
