import { chmod, chown, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { type DiskScene, failureOf, openDiskScene } from "../support/disk-scene.ts";
import { readTree } from "../support/workplace.ts";

const nobody = 65_534;

let scene: DiskScene;
let source: string;
let model: string;

beforeAll(async () => {
  scene = await openDiskScene();
  source = await scene.place.write("source", { "config.json": "{}", "sub/a.txt": "a" });
  await scene.place.push(source, "team/model:v1");
  model = scene.ref("team/model:v1");
  await chmod(scene.place.path, 0o755);
});
afterAll(() => scene[Symbol.asyncDispose]());

/** Commands that write to a place, with the place in them. */
const writers = [
  ["a store", (place: string) => ["pull", model, "--store", place]],
  ["an output folder", (place: string) => ["pull", model, "-o", place]],
  ["a layout", (place: string) => ["push", source, `oci:${place}:v1`]],
  [
    "a registry's folder",
    (place: string) => ["registry", "serve", "--root", place, "--listen", "127.0.0.1:0"],
  ],
] as const;

describe("a file", () => {
  test.each(writers)("where %s should be is named and left alone", async (name, args) => {
    const file = scene.place.inside(`file ${name}`.replaceAll(/\W/g, "-"));
    await writeFile(file, "mine");
    for (const place of [file, join(file, "below")]) {
      const refused = await scene.run(args(place));
      expect(refused).toMatchObject({ code: 7, out: "" });
      expect(failureOf(refused)).toEqual({
        message: `STORE_IO: ${file} is no folder`,
        hint: "name another place, or move what is there away",
      });
    }
  });

  test("where a store is looked for is no store", async () => {
    const file = scene.place.inside("no-store");
    await writeFile(file, "mine");
    for (const command of ["ls", "gc", "verify"]) {
      const refused = await scene.run(["store", command, "--store", file]);
      expect(refused.code).toBe(3);
      expect(failureOf(refused).message).toMatch(`NOT_FOUND: there is no store at ${file}`);
    }
  });
});

describe("a path that is too long", () => {
  test.each(writers)("for %s is told of", async (_, args) => {
    const place = scene.place.inside("x".repeat(300));
    const refused = await scene.run(args(place));
    expect(refused).toMatchObject({ code: 7, out: "" });
    const { message, hint } = failureOf(refused);
    expect(message).toMatch(/^STORE_IO: .*ENAMETOOLONG/);
    expect(message).toContain(place);
    expect(hint).toBe("choose a place with a shorter path");
  });

  test("for a store to be listed is told of", async () => {
    const refused = await scene.run(["store", "ls", "--store", `/${"x".repeat(300)}`]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused).message).toMatch(/^STORE_IO: .*ENAMETOOLONG/);
  });
});

describe.skipIf(mountsMissing())("without permission", () => {
  const asNobody = (args: readonly string[]) => scene.run(args, { uid: nobody });
  const hint = "check who owns that path, or choose another place";

  test.each(writers)("%s cannot be made", async (name, args) => {
    const locked = scene.place.inside(`locked ${name}`.replaceAll(/\W/g, "-"));
    await mkdir(locked, { mode: 0o755 });
    const refused = await asNobody(args(join(locked, "place")));
    expect(refused).toMatchObject({ code: 7, out: "" });
    const told = failureOf(refused);
    expect(told).toEqual({ message: expect.stringMatching(/^STORE_IO: .*EACCES/), hint });
    expect(told.message).toContain(locked);
    expect(await readdir(locked)).toEqual([]);
  });

  test("a store of somebody else is listed, and nothing else", async () => {
    const store = scene.place.inside("of-root");
    await pull({ reference: model, store });
    expect((await asNobody(["store", "ls", "--store", store])).out).toContain("team/model@sha256:");
    for (const args of [
      ["pull", model, "--store", store],
      ["store", "gc", "--store", store],
      ["store", "verify", "--store", store],
    ]) {
      const refused = await asNobody(args);
      expect(refused.code).toBe(7);
      expect(failureOf(refused)).toEqual({
        message: `STORE_IO: the store ${store} cannot be opened: EACCES`,
        hint,
      });
    }
    await chmod(store, 0o700);
    const closed = await asNobody(["store", "ls", "--store", store]);
    expect(closed.code).toBe(7);
    expect(failureOf(closed)).toEqual({
      message: expect.stringMatching(/^STORE_IO: .*EACCES/),
      hint,
    });
  });

  test("an output folder of somebody else is left as it is, and what one may write is filled", async () => {
    const output = scene.place.inside("out-of-root");
    await pull({ reference: model, output });
    const before = await readTree(output);
    const refused = await asNobody(["pull", model, "-o", output]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused)).toEqual({
      message: expect.stringMatching(/^STORE_IO: .*EACCES/),
      hint,
    });
    expect(await readTree(output)).toEqual(before);
    const own = scene.place.inside("out-of-nobody");
    await mkdir(own);
    await chown(own, nobody, nobody);
    expect(await asNobody(["pull", model, "-o", own, "-q"])).toMatchObject({ code: 0, err: "" });
    expect(await readTree(own)).toEqual(await readTree(source));
  });

  test("to write it, a layout is read", async () => {
    const layout = scene.place.inside("layout-of-root");
    await push({ source, reference: `oci:${layout}:v1` });
    // As a push that was killed leaves it: nobody else may take it away.
    await mkdir(join(layout, "uploads"), { recursive: true });
    const output = scene.place.inside("from-layout");
    await mkdir(output);
    await chown(output, nobody, nobody);
    const pulled = await asNobody(["pull", `oci:${layout}:v1`, "-o", output, "-q"]);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    const refused = await asNobody(["push", source, `oci:${layout}:v2`]);
    expect(refused.code).toBe(7);
    expect(failureOf(refused)).toEqual({
      message: expect.stringMatching(/^STORE_IO: .*EACCES/),
      hint,
    });
  });
});
