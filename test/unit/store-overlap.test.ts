import { statSync } from "node:fs";
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { pathExists } from "../../src/core/absence.ts";
import { fileId, type IndexedFile } from "../../src/core/chunk-index.ts";
import { commitBatch } from "../../src/store/file-batch.ts";
import { collect, removeModelRecord } from "../../src/store/garbage.ts";
import { openIngest } from "../../src/store/ingest.ts";
import { listRecords, readRecord } from "../../src/store/model-record.ts";
import { setPinned } from "../../src/store/pin.ts";
import { quarantineFile } from "../../src/store/quarantine.ts";
import type { Store } from "../../src/store/store.ts";
import { originOf } from "../../src/store/store-paths.ts";
import { buildTree } from "../../src/store/tree.ts";
import { makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  makeModel,
  pullModel,
  recordModel,
  serveModels,
  wrongFiles,
} from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const shared = bytesOf("shared", 300_000);
const model = makeModel({ shared, own: bytesOf("own", 100_000) });
const sibling = makeModel({ shared, other: bytesOf("other", 200_000), small: bytesOf("small", 9) });
const everything = { watermarks: { bytes: { high: 0, low: 0 } } };

const pull = (store: Store, pulled = model) =>
  pullModel(store, pulled, { source: serveModels(name, [pulled]) });

/** Holds `changes` until `release` is called, as one does who chooses what to remove. */
function holdChanges(store: Store): { release: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const held = store.changes.hold(() => promise);
  return {
    release: async () => {
      resolve();
      await held;
    },
  };
}

async function turns(): Promise<void> {
  for (let left = 20; left > 0; left -= 1) await stat("/");
}

describe("while somebody chooses what to remove", () => {
  test("a lease does not begin, a pin does not change, nothing is taken out of sight", async () => {
    await using store = await makeStore();
    const { origin, manifest } = (await pull(store)).record;
    const { release } = holdChanges(store);
    const done: string[] = [];
    const lease = store.lease(origin, manifest).finally(() => done.push("lease"));
    const pin = setPinned(store, { origin, manifest }, true).finally(() => done.push("pin"));
    const evicted = collect(store, everything).finally(() => done.push("collect"));
    await turns();
    expect(done).toEqual([]);
    expect(store.isLeased({ origin, manifest })).toBe(false);
    expect((await readRecord(store.paths, origin, manifest))?.pinned).toBe(false);
    await release();
    (await lease)[Symbol.dispose]();
    await pin;
    expect((await evicted).removed).toEqual([]);
    expect(done).toEqual(["lease", "pin", "collect"]);
  });

  test("one who waits for a lease can stop waiting, and holds none then", async () => {
    await using store = await makeStore();
    const { origin, manifest } = (await pull(store)).record;
    const { release } = holdChanges(store);
    const stop = new AbortController();
    const lease = store.lease(origin, manifest, { signal: stop.signal });
    stop.abort(new Error("no longer wanted"));
    await expect(lease).rejects.toThrow("no longer wanted");
    await release();
    await turns();
    expect(store.isLeased({ origin, manifest })).toBe(false);
  });
});

describe("a removal", () => {
  test("that came first leaves nothing to the lease that waited for it", async () => {
    await using store = await makeStore();
    const { tree, record } = await pull(store);
    const known = await readRecord(store.paths, record.origin, record.manifest);
    if (known === undefined) throw new Error("no record");
    const { release } = holdChanges(store);
    const removed = removeModelRecord(store, known);
    await turns();
    const lease = store.lease(record.origin, record.manifest);
    await release();
    using _lease = await lease;
    expect(await readRecord(store.paths, record.origin, record.manifest)).toBeUndefined();
    expect(await pathExists(tree)).toBe(false);
    expect(await removed).toBe(model.bytes);
  });

  test("heeds a pin that was set after its caller looked", async () => {
    await using store = await makeStore();
    const { record } = await pull(store);
    const known = await readRecord(store.paths, record.origin, record.manifest);
    if (known === undefined) throw new Error("no record");
    await setPinned(store, record, true);
    await expect(removeModelRecord(store, known)).rejects.toMatchObject({ code: "MODEL_IN_USE" });
  });

  test("of what somebody else removed meanwhile does nothing", async () => {
    await using store = await makeStore();
    const { record } = await pull(store);
    const known = await readRecord(store.paths, record.origin, record.manifest);
    if (known === undefined) throw new Error("no record");
    const both = [removeModelRecord(store, known), removeModelRecord(store, known)];
    expect(new Set(await Promise.all(both))).toEqual(new Set([0, model.bytes]));
    await expect(setPinned(store, record, true)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await listRecords(store.paths)).toEqual([]);
  });
});

describe("collections", () => {
  test("at every piece of a pull take neither what it has nor what it reuses, and evict the rest", async () => {
    await using store = await makeStore();
    await pull(store);
    const source = serveModels(name, [sibling], {
      onPiece: async () => void (await collect(store, everything)),
    });
    const { tree, bytes, record } = await pullModel(store, sibling, { source });
    expect(await wrongFiles(tree, sibling)).toEqual([]);
    expect(bytes.moved).toBe(200_009);
    const left = (await listRecords(store.paths)).map(({ manifest }) => manifest);
    expect(left).toEqual([record.manifest]);
    expect(await store.readBlob(record.index)).toEqual(sibling.indexBytes);
  });

  test("between the documents of a model and its record take nothing", async () => {
    await using store = await makeStore();
    const collecting = Array.from({ length: 20 }, () => collect(store));
    const recorded = Array.from({ length: 20 }, () => recordModel(store, name, model));
    await Promise.all([...collecting, ...recorded]);
    expect(await store.readBlob(model.manifest)).toEqual(model.manifestBytes);
  });
});

describe("two origins that commit the same file at once", () => {
  const [big] = makeModel({ shared }).index.files;
  const [small] = makeModel({ small: bytesOf("small", 9) }).index.files;
  const origins = ["registry.example.com/a", "mirror.example.net/b"].map(originOf);

  /** Commits it for both, and tells whether the inode that was first to be seen stayed. */
  async function keepsFirst(
    store: Store,
    file: IndexedFile,
    commit: (at: number) => Promise<void>,
  ): Promise<boolean> {
    const path = store.paths.file(fileId(file));
    const inode = () => statSync(path, { throwIfNoEntry: false })?.ino;
    const both = Promise.all([commit(0), commit(1)]);
    let first = inode();
    for (; first === undefined; first = inode()) await setImmediate();
    await both;
    return first === inode();
  }

  test("share one inode, however large it is", async () => {
    if (big === undefined) throw new Error("no file");
    await using store = await makeStore();
    const { paths, bootId } = store;
    for (let round = 0; round < 30; round += 1) {
      const ingests = await Promise.all(
        origins.map((origin) => openIngest({ paths, origin, file: big, bootId })),
      );
      for (const ingest of ingests) {
        await writeFile(ingest.path, shared);
        await ingest.record([...big.chunks.keys()]);
      }
      expect(await keepsFirst(store, big, async (at) => ingests[at]?.commit())).toBe(true);
      await rm(paths.file(fileId(big)));
    }
  });

  test("share one inode, however small it is", async () => {
    if (small === undefined) throw new Error("no file");
    const [id, size] = [fileId(small), small.size];
    await using store = await makeStore();
    for (let round = 0; round < 30; round += 1) {
      const ways = ["0", "1"].map((way) => join(store.paths.ingest, way));
      for (const path of ways) await writeFile(path, bytesOf("small", size));
      const commit = (at: number) => commitBatch(store.paths, [{ id, path: ways[at] ?? "", size }]);
      expect(await keepsFirst(store, small, commit)).toBe(true);
      for (const path of ways) expect(await pathExists(path)).toBe(false);
      await rm(store.paths.file(id));
    }
  });
});

test("a tree that is built while one of its files is found rotten does not show it", async () => {
  const files = Object.fromEntries([1, 2, 3, 4].map((at) => [`${at}`, bytesOf(at, 100)]));
  const many = makeModel(files);
  const [first] = many.index.files;
  if (first === undefined) throw new Error("no file");
  await using store = await makeStore();
  const { treeId } = await recordModel(store, name, many);
  for (let delay = 0; delay < 40; delay += 1) {
    for (const file of many.index.files)
      await writeFile(store.paths.file(fileId(file)), bytesOf(file.path, 100));
    const build = buildTree(store.paths, { treeId, selection: "all", files: many.index.files });
    for (let left = delay; left > 0; left -= 1) await stat("/");
    await Promise.allSettled([build, quarantineFile(store, fileId(first))]);
    expect(await pathExists(store.paths.tree(treeId, "all"))).toBe(false);
  }
});
