import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import type { Store } from "../../src/store/store.ts";
import { makePresent } from "../../src/transfer/present.ts";
import type { Transfer } from "../../src/transfer/transfer.ts";
import { openTransferPool } from "../../src/transfer/transfer-pool.ts";
import type { Priority } from "../../src/transfer/turn-queue.ts";
import { type PacingProxy, startPacingProxy } from "../support/pacing-proxy.ts";
import { makeFolder, makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  makeModel,
  pullModel,
  recordModel,
  serveModels,
  type TestModel,
  wrongFiles,
} from "../support/store-models.ts";

const mebi = 1_048_576;
/** Two layers of twelve chunks. */
const large = makeModel(
  { weights: bytesOf("large", 24 * mebi) },
  { chunkBytes: mebi, layerBytes: 12 * mebi },
);
const small = makeModel(
  { weights: bytesOf("small", 2 * mebi) },
  { chunkBytes: mebi / 2, layerBytes: 2 * mebi },
);

const stack = { current: new AsyncDisposableStack() };
let registry: RegistryServer;
let proxy: PacingProxy;
let store: Store;
let repository: Awaited<ReturnType<typeof openRegistryRepository>>;

beforeEach(async () => {
  const owned = new AsyncDisposableStack();
  stack.current = owned;
  const folder = owned.use(await makeFolder());
  registry = owned.use(await startRegistry({ root: folder.path, limits: { closeGraceMs: 100 } }));
  proxy = owned.use(await startPacingProxy(registry.address));
  store = owned.use(await makeStore());
  repository = owned.use(
    await openRegistryRepository({ host: proxy.address, repository: "team/model", writes: true }),
  );
  for (const [digest, layer] of [...large.layers, ...small.layers])
    await repository.putBlob({ digest, size: layer.byteLength }, () => [layer]);
});
afterEach(() => stack.current.disposeAsync());

function openPool(limits: Parameters<typeof openTransferPool>[0]) {
  return stack.current.use(openTransferPool({ threads: 2, ...limits }));
}

/** Brings a model through a transfer. */
async function bring(model: TestModel, transfer: Transfer, signal?: AbortSignal) {
  const record = await recordModel(store, repository.name, model);
  const { index } = model;
  return makePresent({ store, record, index, files: index.files, transfer, signal });
}

const readsOf = (model: TestModel) => proxy.reads.filter(({ digest }) => model.layers.has(digest));
const passedOf = (model: TestModel) => readsOf(model).reduce((sum, { passed }) => sum + passed, 0);
/** Whether of the first two reads of the large model one has ended. */
const isOneCut = () =>
  readsOf(large)
    .slice(0, 2)
    .filter(({ isOpen }) => isOpen).length === 1;
const openReads = () => proxy.reads.filter(({ isOpen }) => isOpen);

/** Rejects reads of files of the store that are not those of the model. */
async function expectStored(model: TestModel): Promise<void> {
  // A pull of what is there fetches nothing, and shows it.
  const source = serveModels(repository.name, [model]);
  const { tree } = await pullModel(store, model, { source });
  expect(source.served.bytes).toBe(0);
  expect(await wrongFiles(tree, model)).toEqual([]);
}

/** A transfer that tells when it has asked for connections. */
function watched(transfer: Transfer) {
  const waits = Promise.withResolvers<void>();
  const forEachRange: Transfer["forEachRange"] = (ranges, work, options) => {
    const ended = transfer.forEachRange(ranges, work, options);
    waits.resolve();
    return ended;
  };
  return { transfer: { ...transfer, forEachRange }, waits: waits.promise };
}

describe("a waiting mount, when a prefetch has all connections", () => {
  test("begins after the chunk one of them is in, and no chunk that came is fetched again", async () => {
    const pool = openPool({ connections: 2 });
    // Into the second chunk of each range, and no further.
    proxy.allow(({ digest }) => (large.layers.has(digest) ? 1.5 * mebi : Infinity));
    const prefetch = bring(large, pool.open(repository, { priority: () => "prefetch" }));
    await proxy.until(() => passedOf(large) === 3 * mebi);
    const { transfer, waits } = watched(pool.open(repository));
    const mount = bring(small, transfer);
    await waits;
    // Into the third: without a connection that is let go, the mount would wait for ever.
    proxy.allow(({ digest }) => (large.layers.has(digest) ? 2.5 * mebi : Infinity));
    expect(await mount).toEqual({ moved: small.bytes, reused: 0 });
    await proxy.until(isOneCut);
    proxy.allow(() => Infinity);
    expect(await prefetch).toEqual({ moved: large.bytes, reused: 0 });
    expect(passedOf(small)).toBe(small.bytes);
    // Of the chunk that was cut at most what had come of it.
    expect(passedOf(large)).toBeGreaterThanOrEqual(large.bytes);
    expect(passedOf(large)).toBeLessThanOrEqual(large.bytes + mebi / 2);
    const ranges = readsOf(large).map(({ first, last }) => [first, last]);
    const whole = [0, 12 * mebi - 1];
    expect(ranges).toEqual([whole, whole, [2 * mebi, 12 * mebi - 1]]);
    for (const model of [large, small]) await expectStored(model);
  });

  test("begins at once where nothing has come yet", async () => {
    const pool = openPool({ connections: 2 });
    proxy.allow(({ digest }) => (large.layers.has(digest) ? 0 : Infinity));
    const prefetch = bring(large, pool.open(repository, { priority: () => "prefetch" }));
    await proxy.until(() => readsOf(large).length === 2);
    expect((await bring(small, pool.open(repository))).moved).toBe(small.bytes);
    await proxy.until(isOneCut);
    proxy.allow(() => Infinity);
    expect((await prefetch).moved).toBe(large.bytes);
    expect(passedOf(large)).toBe(large.bytes);
  });

  test("that joins the prefetch gives it its own priority", async () => {
    const pool = openPool({ connections: 1 });
    let joined: Priority = "prefetch";
    proxy.allow(({ digest }) => (large.layers.has(digest) ? 1.5 * mebi : Infinity));
    const prefetch = bring(large, pool.open(repository, { priority: () => joined }));
    await proxy.until(() => passedOf(large) === 1.5 * mebi);
    joined = "mount";
    const other = watched(pool.open(repository, { priority: () => "prefetch" }));
    const later = bring(small, other.transfer);
    await other.waits;
    proxy.allow(() => Infinity);
    await Promise.all([prefetch, later]);
    expect(readsOf(large)).toHaveLength(2);
    expect(proxy.reads.at(-1)?.digest).toBe([...small.layers.keys()][0]);
    expect(passedOf(large)).toBe(large.bytes);
  });
});

test("limits change while ranges are under way, up at once and down chunk by chunk", async () => {
  const pool = openPool({ connections: 1, rangeBytes: 6 * mebi });
  proxy.allow(() => mebi / 2);
  const pulled = bring(large, pool.open(repository));
  await proxy.until(() => openReads().length === 1);
  pool.configure({ connections: 3 });
  await proxy.until(
    () => openReads().length === 3 && openReads().every(({ passed }) => passed > 0),
  );
  pool.configure({ connections: 1 });
  proxy.allow(() => 1.5 * mebi);
  await proxy.until(() => openReads().length === 1);
  const before = proxy.reads.length;
  let most = 0;
  const all = proxy.until(() => {
    most = Math.max(most, openReads().length);
    return (
      proxy.reads.length > before && openReads().length === 0 && passedOf(large) >= large.bytes
    );
  });
  proxy.allow(() => Infinity);
  expect((await pulled).moved).toBe(large.bytes);
  await all;
  expect(most).toBe(1);
  // Four ranges and what was left of the two that were cut, which lose what passed of a chunk.
  expect(proxy.reads).toHaveLength(6);
  expect(passedOf(large)).toBeLessThanOrEqual(large.bytes + 3 * mebi);
  await expectStored(large);
});

describe("transfers of one pool", () => {
  test("end by themselves: what one is stopped with, the other does not notice", async () => {
    const pool = openPool({ connections: 1 });
    proxy.allow(() => mebi / 2);
    const stop = new AbortController();
    const stopped = bring(large, pool.open(repository), stop.signal);
    await proxy.until(() => openReads().length === 1);
    const { transfer, waits } = watched(pool.open(repository));
    const other = bring(small, transfer);
    await waits;
    stop.abort(new Error("no longer wanted"));
    await expect(stopped).rejects.toThrow("no longer wanted");
    proxy.allow(({ digest }) => (large.layers.has(digest) ? mebi / 2 : Infinity));
    expect((await other).moved).toBe(small.bytes);
    expect(passedOf(large)).toBeLessThanOrEqual(mebi / 2);
  });

  test("stop at once while they wait for a connection", async () => {
    const pool = openPool({ connections: 1 });
    proxy.allow(() => mebi / 2);
    const pulled = bring(large, pool.open(repository, { priority: () => "read" }));
    await proxy.until(() => openReads().length === 1);
    const stop = new AbortController();
    const { transfer, waits } = watched(pool.open(repository, { priority: () => "prefetch" }));
    const waiting = bring(small, transfer, stop.signal);
    await waits;
    stop.abort(new Error("no longer wanted"));
    await expect(waiting).rejects.toThrow("no longer wanted");
    expect(readsOf(small)).toEqual([]);
    proxy.allow(() => Infinity);
    await pulled;
  });

  test("are over with the pool, also those that wait", async () => {
    const pool = openPool({ connections: 1 });
    proxy.allow(() => mebi / 2);
    const running = bring(large, pool.open(repository, { priority: () => "read" }));
    await proxy.until(() => openReads().length === 1);
    const { transfer, waits } = watched(pool.open(repository));
    const waiting = bring(small, transfer);
    await waits;
    const ends = Promise.allSettled([running, waiting]);
    await pool[Symbol.asyncDispose]();
    for (const end of await ends)
      expect(end).toMatchObject({ status: "rejected", reason: { code: "CANCELLED" } });
  });
});
