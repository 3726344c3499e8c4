import { readdir, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { fileId } from "../../src/core/chunk-index.ts";
import { grantedFiles, grantFiles } from "../../src/store/model-record.ts";
import { buildTree, hasTree, listSelections } from "../../src/store/tree.ts";
import { makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel, recordModel } from "../support/store-models.ts";

const model = makeModel({ a: bytesOf("a", 10), "deep/b": bytesOf("b", 20) });
const { files } = model.index;
const treeId = "1".repeat(64);

describe("a tree", () => {
  test("of which a file is missing is not there at all", async () => {
    await using store = await makeStore();
    const [first] = files;
    if (first === undefined) throw new Error("no file");
    await writeFile(store.paths.file(fileId(first)), bytesOf("a", 10));
    const building = buildTree(store.paths, { treeId, selection: "all", files });
    await expect(building).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readdir(store.paths.trees)).toEqual([]);
    expect(await readdir(store.paths.trash)).toEqual([]);
    expect(await hasTree(store.paths, treeId, "all")).toBe(false);
    expect(await listSelections(store.paths, treeId)).toEqual([]);
  });

  test("that many build at once appears once, and of each selection", async () => {
    await using store = await makeStore();
    for (const file of files)
      await writeFile(store.paths.file(fileId(file)), model.files.get(file.path) ?? "");
    const build = (selection: string) => buildTree(store.paths, { treeId, selection, files });
    const paths = await Promise.all(Array.from({ length: 10 }, () => build("all")));
    expect(new Set(paths).size).toBe(1);
    await build("some");
    expect((await listSelections(store.paths, treeId)).sort()).toEqual(["all", "some"]);
    expect(await readdir(store.paths.trash)).toEqual([]);
  });
});

describe("grants", () => {
  test("survive a line that was torn", async () => {
    await using store = await makeStore();
    const record = await recordModel(store, "registry.example.com/team/model", model);
    const [first, second] = files.map(fileId);
    if (first === undefined || second === undefined) throw new Error("no files");
    await grantFiles(store.paths, record, [first.slice(0, 30)]);
    await grantFiles(store.paths, record, [first, second]);
    expect([...(await grantedFiles(store.paths, record))]).toEqual([first, second]);
  });
});
