import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pathExists, undefinedIfMissing } from "../../src/core/absence.ts";
import { temporaryName, writeFileDurably } from "../../src/core/durable-file.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";

let folder: TemporaryFolder;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
});
afterEach(async () => folder[Symbol.asyncDispose]());

describe("a file that is replaced as a whole", () => {
  test("is there with its bytes and nothing beside it", async () => {
    const path = join(folder.path, "file");
    await writeFileDurably(path, "first");
    await writeFileDurably(path, Buffer.from("second"));
    expect(await readFile(path, "utf8")).toBe("second");
    expect(await readdir(folder.path)).toEqual(["file"]);
  });

  test("stays as it was when the write fails, and nothing is left behind", async () => {
    const path = join(folder.path, "taken");
    await mkdir(path);
    await writeFile(join(path, "inside"), "");
    await expect(writeFileDurably(path, "x")).rejects.toMatchObject({ code: "EISDIR" });
    expect(await readdir(folder.path)).toEqual(["taken"]);
    await expect(writeFileDurably(join(folder.path, "no", "folder"), "x")).rejects.toMatchObject({
      code: "ENOENT",
    });
  });

  test("is written under a name that no other writer uses", () => {
    const path = join(folder.path, "file");
    const names = new Set(Array.from({ length: 100 }, () => temporaryName(path)));
    expect(names.size).toBe(100);
    for (const name of names) expect(dirname(name)).toBe(folder.path);
  });
});

describe("a path", () => {
  test("is there or not", async () => {
    await writeFile(join(folder.path, "file"), "");
    expect(await pathExists(join(folder.path, "file"))).toBe(true);
    expect(await pathExists(join(folder.path, "none"))).toBe(false);
    expect(await pathExists(join(folder.path, "file", "below"))).toBe(false);
  });

  test("that cannot be looked at is a failure, not an absence", async () => {
    const tooLong = join(folder.path, "x".repeat(300));
    await expect(pathExists(tooLong)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
    await expect(readFile(tooLong).catch(undefinedIfMissing)).rejects.toMatchObject({
      code: "ENAMETOOLONG",
    });
    expect(await readFile(join(folder.path, "none")).catch(undefinedIfMissing)).toBeUndefined();
  });
});
