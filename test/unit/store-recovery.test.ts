import { mkdir, readdir, rename, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pathExists } from "../../src/core/absence.ts";
import { fileId } from "../../src/core/chunk-index.ts";
import { collect } from "../../src/store/garbage.ts";
import { ingestFolder } from "../../src/store/ingest.ts";
import { openStore } from "../../src/store/store.ts";
import { originOf } from "../../src/store/store-paths.ts";
import { makeFolder, makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel, pullModel, serveModels, wrongFiles } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const model = makeModel({ big: bytesOf("big", 300_000), small: bytesOf("small", 500) });

describe("opening a store after a crash", () => {
  test("removes the unfinished copy of a file that another origin has committed", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    const left: string[] = [];
    {
      await using store = await openStore(root);
      const { origin } = await pullModel(store, model, { source: serveModels(name, [model]) });
      for (const [at, file] of model.index.files.entries()) {
        const path = ingestFolder(store.paths, origin, fileId(file));
        await mkdir(join(path, ".."), { recursive: true });
        if (at > 0) await writeFile(path, "");
        else await mkdir(path);
        if (at === 0) await writeFile(join(path, "data"), "");
        left.push(path);
      }
      const [big] = model.index.files;
      if (big === undefined) throw new Error("no file");
      // Not granted to this one: it has yet to prove that it has the bytes.
      const other = ingestFolder(store.paths, originOf("mirror.example.net/m"), fileId(big));
      await mkdir(join(other, ".."), { recursive: true });
      await writeFile(other, "");
    }
    await using store = await openStore(root);
    for (const path of left) expect(await pathExists(path)).toBe(false);
    expect(await readdir(store.paths.ingest)).toHaveLength(1);
  });

  test("keeps what is granted and not committed yet", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    {
      await using store = await openStore(root);
      const { origin } = await pullModel(store, model, { source: serveModels(name, [model]) });
      const [big] = model.index.files;
      if (big === undefined) throw new Error("no file");
      const path = ingestFolder(store.paths, origin, fileId(big));
      await mkdir(path, { recursive: true });
      await rename(store.paths.file(fileId(big)), join(path, "data"));
    }
    await using store = await openStore(root);
    expect(await readdir(store.paths.ingest, { recursive: true })).toContainEqual(
      expect.stringMatching(/\/data$/),
    );
  });

  test("removes a version that was half written, and makes a reserve whole that is not", async () => {
    await using folder = await makeFolder();
    await (await openStore(folder.path))[Symbol.asyncDispose]();
    await writeFile(join(folder.path, "VERSION.tmp-0123456789ab"), "");
    await truncate(join(folder.path, "reserve"), 1000);
    await using _store = await openStore(folder.path);
    expect(await readdir(folder.path)).not.toContain("VERSION.tmp-0123456789ab");
    expect((await stat(join(folder.path, "reserve"))).size).toBe(1_048_576);
  });

  test("finds no place taken by a tree that was about to appear", async () => {
    await using store = await makeStore();
    const { record } = await pullModel(store, model, { source: serveModels(name, [model]) });
    const selection = join(store.paths.tree(record.treeId, "all"), "..");
    await rename(selection, join(store.paths.trash, "gone"));
    await mkdir(selection);
    const { tree } = await pullModel(store, model, { source: serveModels(name, [model]) });
    expect(await wrongFiles(tree, model)).toEqual([]);
    expect((await stat(tree)).mode & 0o777).toBe(0o555);
  });
});

test("the last model of a repository leaves no folder behind", async () => {
  await using store = await makeStore();
  for (const each of [name, "mirror.example.net/a/b"])
    await pullModel(store, model, { source: serveModels(each, [model]) });
  await collect(store, { watermarks: { bytes: { high: 0, low: 0 } } });
  for (const folder of [store.paths.grants, store.paths.ingest, store.paths.trees])
    expect(await readdir(folder)).toEqual([]);
});
