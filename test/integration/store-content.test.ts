import { linkSync } from "node:fs";
import { mkdir, readdir, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileId } from "../../src/core/chunk-index.ts";
import { linkOrCopy } from "../../src/store/tree.ts";
import { makeStore, mountExt4 } from "../support/store-folders.ts";
import {
  bytesOf,
  idOf,
  makeModel,
  pullModel,
  serveModels,
  type TestModel,
  wrongFiles,
} from "../support/store-models.ts";

const name = "registry.example.com/team/model";

async function pullNew(model: TestModel) {
  const store = await makeStore();
  const source = serveModels(name, [model]);
  const pulled = await pullModel(store, model, { source });
  expect(await wrongFiles(pulled.tree, model)).toEqual([]);
  return { store, source, ...pulled };
}

describe("a model", () => {
  test("with one file under two paths stores and fetches it once", async () => {
    const bytes = bytesOf("twice", 300_000);
    const model = makeModel({ "a/one": bytes, "b/two": bytes, other: bytesOf("other", 10) });
    const pulled = await pullNew(model);
    await using store = pulled.store;
    expect(pulled.source.served.bytes).toBe(300_010);
    expect(await readdir(store.paths.files)).toHaveLength(2);
    expect(pulled.bytes).toEqual({ moved: 300_010, reused: 300_000 });
    const inode = async (path: string) => (await stat(join(pulled.tree, path))).ino;
    expect(await inode("a/one")).toBe(await inode("b/two"));
  });

  test("with files that share a chunk, and a chunk twice in one file, fetches each chunk once", async () => {
    const [a, b, c] = ["a", "b", "c"].map((seed) => bytesOf(seed, 65_536));
    const parts = (...pieces: (Buffer | undefined)[]) =>
      Buffer.concat(pieces.filter((piece) => piece !== undefined));
    const model = makeModel({ first: parts(a, b, a), second: parts(c, a), third: parts(b) });
    const pulled = await pullNew(model);
    await using _store = pulled.store;
    expect(pulled.source.served.bytes).toBe(3 * 65_536);
    expect(pulled.bytes).toEqual({ moved: 3 * 65_536, reused: 3 * 65_536 });
  });

  test("of empty files only is stored", async () => {
    const pulled = await pullNew(makeModel({ a: Buffer.alloc(0), "b/c": Buffer.alloc(0) }));
    await using store = pulled.store;
    expect(await readdir(store.paths.files)).toHaveLength(1);
    expect(pulled.bytes).toEqual({ moved: 0, reused: 0 });
  });

  test("of 2500 small files is fetched in few requests and stored whole", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 2500 }, (_, at) => [`d${at % 50}/f${at}`, bytesOf(at, 50 + (at % 90))]),
    );
    const model = makeModel(files);
    const pulled = await pullNew(model);
    await using store = pulled.store;
    expect(pulled.source.served.requests).toBeLessThan(10);
    expect(pulled.source.served.bytes).toBe(model.bytes);
    expect(await readdir(store.paths.files)).toHaveLength(2500);
    expect((await readdir(store.paths.ingest, { recursive: true })).length).toBe(1);
    const again = serveModels(name, [model]);
    await pullModel(store, model, { source: again });
    expect(again.served.requests).toBe(0);
  });

  test("stands in folders and files that nobody may write", async () => {
    const pulled = await pullNew(makeModel({ "deep/er/file": bytesOf("x", 10) }));
    await using _store = pulled.store;
    const mode = async (path: string) => (await stat(join(pulled.tree, path))).mode & 0o777;
    expect(await mode(".")).toBe(0o555);
    expect(await mode("deep")).toBe(0o555);
    expect(await mode("deep/er")).toBe(0o555);
    expect(await mode("deep/er/file")).toBe(0o444);
  });

  test("whose store was written by a slower hand keeps its small files' progress", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 40 }, (_, at) => [`f${at}`, bytesOf(at, 60_000)]),
    );
    const model = makeModel(files, { layerBytes: 120_000 });
    await using store = await makeStore();
    const cut = serveModels(name, [model], {
      onPiece: () => {
        if (cut.served.bytes > 1_500_000) throw new Error("the line is cut");
      },
    });
    await expect(pullModel(store, model, { source: cut, connections: 1 })).rejects.toThrow("cut");
    expect(await readdir(store.paths.files)).toEqual([]);
    const source = serveModels(name, [model]);
    const { tree } = await pullModel(store, model, { source });
    expect(await wrongFiles(tree, model)).toEqual([]);
    expect(source.served.bytes).toBeLessThanOrEqual(model.bytes - 1_500_000 + 120_000);
  });
});

describe("on a filesystem where an inode has no more links to give", () => {
  test("a file is copied into the tree instead", async (context) => {
    const mounted = await mountExt4(16_777_216);
    if (typeof mounted === "string") return context.skip(mounted);
    await using fs = mounted;
    const from = join(fs.path, "file");
    await writeFile(from, "content", { mode: 0o444 });
    const folders = ["a", "b"].map((folder) => join(fs.path, folder));
    for (const folder of folders) await mkdir(folder);
    // ext4 gives an inode 65,000 links.
    for (let at = 0; at < 64_999; at += 1) linkSync(from, join(folders[0] ?? "", String(at)));
    expect((await stat(from)).nlink).toBe(65_000);
    const to = join(folders[1] ?? "", "copy");
    await linkOrCopy(from, to);
    const [original, copy] = [await stat(from), await stat(to)];
    expect(copy.ino).not.toBe(original.ino);
    expect(copy.mode & 0o777).toBe(0o444);
    expect(copy.size).toBe(original.size);
    await unlink(join(folders[0] ?? "", "7"));
    await linkOrCopy(from, join(folders[1] ?? "", "link"));
    expect((await stat(join(folders[1] ?? "", "link"))).ino).toBe(original.ino);
    return undefined;
  });
});

test("the same bytes cut into other chunks are another file with its own id", async () => {
  const bytes = bytesOf("cut", 200_000);
  const [coarse, fine] = [makeModel({ f: bytes }), makeModel({ f: bytes }, { chunkBytes: 1000 })];
  expect(idOf(coarse, "f")).not.toBe(idOf(fine, "f"));
  expect(fine.index.files.map(fileId)).toHaveLength(1);
});
