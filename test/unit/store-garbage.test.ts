import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { surveyStore } from "../../src/model/stored-models.ts";
import { collect, removeModelRecord } from "../../src/store/garbage.ts";
import { ingestFolder } from "../../src/store/ingest.ts";
import { listRecords, readRecord, writeRecord } from "../../src/store/model-record.ts";
import type { Store } from "../../src/store/store.ts";
import { listSelections } from "../../src/store/tree.ts";
import { makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  makeModel,
  type PulledTestModel,
  pullModel,
  serveModels,
  type TestModel,
} from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const kib = (seed: string, count: number) => bytesOf(seed, count * 1024);

const shared = kib("shared", 300);
const oldest = makeModel({ shared, own: kib("oldest", 100) });
const middle = makeModel({ shared, own: kib("middle", 200) });
const newest = makeModel({ own: kib("newest", 400) });

async function pullAt(store: Store, model: TestModel, lastUsed: Date): Promise<PulledTestModel> {
  const pulled = await pullModel(store, model, { source: serveModels(name, [model]) });
  await writeRecord(store.paths, { ...pulled.record, lastUsed });
  return pulled;
}

/** Three models, the oldest and the middle one share a file. */
async function fill(store: Store) {
  return {
    newest: await pullAt(store, newest, new Date("2026-03-03")),
    oldest: await pullAt(store, oldest, new Date("2026-03-01")),
    middle: await pullAt(store, middle, new Date("2026-03-02")),
  };
}

async function manifests(store: Store): Promise<string[]> {
  return (await listRecords(store.paths)).map((record) => record.manifest).sort();
}

const atMost = (bytes: number) => ({ watermarks: { bytes: { high: bytes, low: bytes } } });

describe("eviction", () => {
  test("takes the least recently used models, no more than needed", async () => {
    await using store = await makeStore();
    await fill(store);
    const swept = await collect(store, atMost(950 * 1024));
    expect(swept.removed.map((record) => record.manifest)).toEqual([oldest.manifest]);
    expect(swept.freedBytes).toBe(100 * 1024);
    expect(await manifests(store)).toEqual([middle.manifest, newest.manifest].sort());
    expect(await readdir(store.paths.files)).toHaveLength(3);
  });

  test("passes over leased and pinned models, however old", async () => {
    await using store = await makeStore();
    const pulled = await fill(store);
    await writeRecord(store.paths, { ...pulled.middle.record, pinned: true });
    using _lease = await store.lease(pulled.oldest.origin, oldest.manifest);
    const swept = await collect(store, atMost(0));
    expect(swept.removed.map((record) => record.manifest)).toEqual([newest.manifest]);
    expect(await manifests(store)).toEqual([middle.manifest, oldest.manifest].sort());
  });

  test("on a dry run says the same and deletes nothing", async () => {
    await using store = await makeStore();
    const pulled = await fill(store);
    const options = atMost(500 * 1024);
    const planned = await collect(store, { ...options, dryRun: true });
    expect(await readdir(store.paths.files)).toHaveLength(4);
    expect(await manifests(store)).toHaveLength(3);
    expect(await readdir(pulled.oldest.tree)).toEqual(["own", "shared"]);
    const done = await collect(store, options);
    const describe = ({ removed, freedBytes }: typeof done) => ({
      freedBytes,
      manifests: removed.map((record) => record.manifest),
    });
    expect(describe(done)).toEqual(describe(planned));
    expect(done.removed.map((record) => record.manifest)).toEqual([
      oldest.manifest,
      middle.manifest,
    ]);
    expect(done.freedBytes).toBe(600 * 1024);
  });

  test("leaves everything that fits", async () => {
    await using store = await makeStore();
    await fill(store);
    const swept = await collect(store, atMost(1000 * 1024));
    expect(swept).toEqual({ removed: [], freedBytes: 0 });
    expect(await manifests(store)).toHaveLength(3);
  });
});

describe("removing a model", () => {
  test("takes its files, tree, documents and records, and nothing of another", async () => {
    await using store = await makeStore();
    const pulled = await fill(store);
    const record = await readRecord(store.paths, pulled.oldest.origin, oldest.manifest);
    if (record === undefined) throw new Error("no record");
    expect(await removeModelRecord(store, record)).toBe(100 * 1024);
    expect(await readdir(store.paths.files)).toHaveLength(3);
    expect(await readdir(store.paths.blobs)).toHaveLength(4);
    expect(await listSelections(store.paths, pulled.oldest.record.treeId)).toEqual([]);
    expect(await listSelections(store.paths, pulled.middle.record.treeId)).toEqual(["all"]);
    expect(await readdir(store.paths.trash)).toEqual([]);
  });

  test("is refused while it is leased, and while it is pinned", async () => {
    await using store = await makeStore();
    const pulled = await fill(store);
    const record = { ...pulled.oldest.record, lastUsed: new Date() };
    {
      using _lease = await store.lease(record.origin, record.manifest);
      await expect(removeModelRecord(store, record)).rejects.toMatchObject({
        code: "MODEL_IN_USE",
      });
    }
    await writeRecord(store.paths, { ...record, pinned: true });
    await expect(removeModelRecord(store, record)).rejects.toMatchObject({
      code: "MODEL_IN_USE",
    });
    expect(await manifests(store)).toHaveLength(3);
  });

  test("frees what is shared only with the last that needs it", async () => {
    await using store = await makeStore();
    await fill(store);
    await writeFile(store.paths.file("a".repeat(64)), kib("nobody's", 3));
    const { models, bytes } = await surveyStore({ store: store.paths.root });
    expect(models.map(({ digest, exclusiveBytes }) => [digest, exclusiveBytes])).toEqual([
      [newest.manifest, 400 * 1024],
      [middle.manifest, 200 * 1024],
      [oldest.manifest, 100 * 1024],
    ]);
    expect(bytes).toBe(1003 * 1024);
  });
});

describe("collecting garbage", () => {
  test("removes what no model needs: files, unfinished ones, trees, documents, half-written records", async () => {
    await using store = await makeStore();
    const { origin, record } = (await fill(store)).newest;
    const { paths } = store;
    const records = join(paths.grants, origin.host, origin.repository, "_models");
    const before = await readdir(records);
    await writeFile(paths.file("a".repeat(64)), kib("nobody's", 3));
    await mkdir(ingestFolder(paths, origin, "b".repeat(64)), { recursive: true });
    await mkdir(join(paths.trees, "c".repeat(64), "all/tree"), { recursive: true });
    await writeFile(join(paths.blobs, "d".repeat(64)), "document");
    await mkdir(paths.quarantine);
    await writeFile(join(paths.quarantine, "e".repeat(64)), kib("rotten", 4));
    await writeFile(join(records, `${"f".repeat(64)}.files`), "");
    await writeFile(join(records, `${"f".repeat(64)}.json.tmp-0123456789ab`), "");
    const swept = await collect(store);
    expect(swept).toEqual({ removed: [], freedBytes: 7 * 1024 });
    expect(await readdir(paths.files)).toHaveLength(4);
    expect(await readdir(paths.trees)).not.toContain("c".repeat(64));
    expect(await readdir(paths.trees)).toContain(record.treeId);
    expect(await readdir(paths.blobs)).toHaveLength(6);
    expect(await readdir(paths.quarantine)).toEqual([]);
    expect((await readdir(records)).sort()).toEqual(before.sort());
    expect((await readdir(paths.ingest, { recursive: true })).join()).not.toContain("b".repeat(64));
  });

  test("keeps the files of a model whose index has rotted", async () => {
    await using store = await makeStore();
    const { record } = (await fill(store)).newest;
    await writeFile(store.paths.blob(record.index), "rotten");
    expect(await collect(store)).toEqual({ removed: [], freedBytes: 0 });
    expect(await readdir(store.paths.files)).toHaveLength(4);
  });

  test("keeps what an interrupted pull has so far", async () => {
    await using store = await makeStore();
    const model = makeModel({ big: kib("big", 3000) });
    const source = serveModels(name, [model], {
      onPiece: () => {
        if (source.served.bytes > 2_000_000) throw new Error("the line is cut");
      },
    });
    await expect(pullModel(store, model, { source, connections: 1 })).rejects.toThrow(
      "the line is cut",
    );
    await collect(store);
    const again = serveModels(name, [model]);
    await pullModel(store, model, { source: again });
    expect(again.served.bytes).toBeLessThan(2100 * 1024);
  });
});

describe("a record", () => {
  test("keeps its time of last use when it is written again", async () => {
    await using store = await makeStore();
    const { record, origin } = (await fill(store)).oldest;
    const known = await readRecord(store.paths, origin, record.manifest);
    if (known === undefined) throw new Error("no record");
    await writeRecord(store.paths, { ...known, pinned: true });
    const again = await readRecord(store.paths, origin, record.manifest);
    expect(again).toEqual({ ...known, pinned: true });
    expect(again?.lastUsed).toEqual(new Date("2026-03-01"));
  });

  test.each([["{"], ["[]"], ['{"name":"a"}'], [""]])(
    "that is damaged (%s) is passed over",
    async (text) => {
      await using store = await makeStore();
      const { origin, record } = (await fill(store)).oldest;
      const folder = join(store.paths.grants, origin.host, origin.repository, "_models");
      await writeFile(join(folder, `${record.manifest.slice("sha256:".length)}.json`), text);
      expect(await manifests(store)).toEqual([middle.manifest, newest.manifest].sort());
      expect(await readRecord(store.paths, origin, record.manifest)).toBeUndefined();
    },
  );
});
