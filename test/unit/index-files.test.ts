import { readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { fileId } from "../../src/core/chunk-index.ts";
import { surveyStore } from "../../src/model/stored-models.ts";
import { createIndexFiles } from "../../src/store/index-files.ts";
import { makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel, pullModel, serveModels } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const model = makeModel({ one: bytesOf("one", 1000), two: bytesOf("two", 2000) });
const named = model.index.files.map((file) => ({ path: file.path, id: fileId(file) }));

async function fill() {
  const store = await makeStore();
  const { record } = await pullModel(store, model, { source: serveModels(name, [model]) });
  return { store, record };
}

describe("the files that a model has", () => {
  test("are read once, for an index is never another", async () => {
    const { store, record } = await fill();
    await using _ = store;
    const files = createIndexFiles(store.paths);
    expect(await files.filesOf(record)).toEqual(named);
    await rm(store.paths.blob(record.index));
    expect(await files.filesOf(record)).toEqual(named);
    files.keepOnly([record]);
    expect(await files.filesOf(record)).toEqual(named);
    files.keepOnly([]);
    expect(await files.filesOf(record)).toBeUndefined();
  });

  test("are not told by a damaged index, and are once it is mended", async () => {
    const { store, record } = await fill();
    await using _ = store;
    const bytes = await readFile(store.paths.blob(record.index));
    await writeFile(store.paths.blob(record.index), "rotten");
    const files = createIndexFiles(store.paths);
    expect(await files.filesOf(record)).toBeUndefined();
    await writeFile(store.paths.blob(record.index), bytes);
    expect(await files.filesOf(record)).toEqual(named);
  });

  test("are forgotten by who looks again and again once the model is gone", async () => {
    const { store, record } = await fill();
    await using _ = store;
    const files = createIndexFiles(store.paths);
    const look = async () => (await surveyStore({ store: store.paths.root, files })).models;
    const before = await look();
    expect(before).toMatchObject([{ exclusiveBytes: 3000, trees: [expect.any(String)] }]);
    await rm(store.paths.blob(record.index));
    expect(await look()).toEqual(before);
    await rm(store.paths.grants, { recursive: true });
    expect(await look()).toEqual([]);
    expect(await files.filesOf(record)).toBeUndefined();
  });
});
