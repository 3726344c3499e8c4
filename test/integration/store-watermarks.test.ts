import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { collect } from "../../src/store/garbage.ts";
import { listRecords, writeRecord } from "../../src/store/model-record.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { mountSmallDisk, mountsMissing } from "../support/disk-mounts.ts";
import { bytesOf, makeModel, pullModel, serveModels } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const mib = 1_048_576;
const models = ["a", "b", "c"].map((seed) =>
  makeModel({
    [`${seed}.bin`]: bytesOf(seed, 2 * mib),
    ...Object.fromEntries([...Array(200).keys()].map((at) => [`${at}`, bytesOf(seed + at, 9)])),
  }),
);

/** Pulls the models, the first one longest ago. */
async function fill(store: Store): Promise<void> {
  for (const [at, model] of models.entries()) {
    const { record } = await pullModel(store, model, { source: serveModels(name, [model]) });
    await writeRecord(store.paths, { ...record, lastUsed: new Date(2026, 0, 1 + at) });
  }
}

async function left(store: Store): Promise<number[]> {
  const there = new Set((await listRecords(store.paths)).map(({ manifest }) => manifest));
  return models.flatMap(({ manifest }, at) => (there.has(manifest) ? [at] : []));
}

describe.skipIf(mountsMissing())("a store whose disk gets full", () => {
  test("makes so many bytes free, with the least recently used models, once however many ask", async () => {
    await using disk = await mountSmallDisk({ bytes: 16 * mib });
    await using store = await openStore(join(disk.path, "store"));
    await fill(store);
    const { bavail, bsize } = await statfs(disk.path);
    const free = bavail * bsize;
    const untouched = await collect(store, {
      watermarks: { freeBytes: { low: free - mib, high: free + 9 * mib } },
    });
    expect(untouched.removed).toEqual([]);
    const watermarks = { freeBytes: { low: free + mib, high: free + 3 * mib } };
    const swept = await Promise.all([1, 2, 3].map(() => collect(store, { watermarks })));
    expect(swept.map(({ removed }) => removed.length).sort((a, b) => a - b)).toEqual([0, 0, 2]);
    expect(await left(store)).toEqual([2]);
    const after = await statfs(disk.path);
    expect(after.bavail * bsize).toBeGreaterThanOrEqual(free + 3 * mib);
  });

  test("counts what running pulls were promised as taken", async () => {
    await using disk = await mountSmallDisk({ bytes: 16 * mib });
    await using store = await openStore(join(disk.path, "store"));
    await fill(store);
    const { bavail, bsize } = await statfs(disk.path);
    const free = bavail * bsize;
    using _promise = await store.ledger.reserve(2 * mib);
    await collect(store, { watermarks: { freeBytes: { low: free - mib, high: free - mib } } });
    expect(await left(store)).toEqual([1, 2]);
  });

  test("makes so many inodes free", async () => {
    await using disk = await mountSmallDisk({ bytes: 16 * mib, inodes: 2000 });
    await using store = await openStore(join(disk.path, "store"));
    await fill(store);
    const { ffree } = await statfs(disk.path);
    await collect(store, { watermarks: { freeInodes: { low: ffree, high: ffree + 210 } } });
    expect(await left(store)).toEqual([0, 1, 2]);
    await collect(store, { watermarks: { freeInodes: { low: ffree + 1, high: ffree + 210 } } });
    expect(await left(store)).toEqual([2]);
    expect((await statfs(disk.path)).ffree).toBeGreaterThanOrEqual(ffree + 210);
  });
});
