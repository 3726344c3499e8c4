import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { scrub } from "../../src/model/scrub.ts";
import { collect } from "../../src/store/garbage.ts";
import type { LeaseRecord } from "../../src/store/lease-record.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  idOf,
  makeModel,
  type PulledTestModel,
  pullModel,
  serveModels,
  wrongFiles,
} from "../support/store-models.ts";
import { flipBit } from "../support/workplace.ts";

const name = "registry.example.com/team/model";
const model = makeModel({
  "weights.bin": bytesOf("weights", 300_000),
  "config.json": bytesOf(1, 9),
});

const pull = (store: Store) => pullModel(store, model, { source: serveModels(name, [model]) });

function leaseOf({ record }: PulledTestModel): LeaseRecord {
  const { origin, manifest } = record;
  const since = new Date(0).toISOString();
  return { id: "a".repeat(64), kind: "volume", origin, manifest, reference: name, since };
}

async function rot(store: Store): Promise<void> {
  const path = store.paths.file(idOf(model, "weights.bin"));
  await chmod(path, 0o644);
  await flipBit(path, 100);
}

describe("a file that rots under a mounted model", () => {
  test("is put aside with its tree, which stays for who reads it, and the next pull mends all", async () => {
    await using store = await makeStore();
    const pulled = await pull(store);
    await store.keepLease(leaseOf(pulled));
    await rot(store);
    expect((await scrub(store, {})).problems).toHaveLength(1);
    const [aside = "", ...more] = await readdir(store.paths.retired);
    expect(more).toEqual([]);
    const shown = join(store.paths.retired, aside, "all", "tree");
    expect(await readdir(shown)).toEqual(["config.json", "weights.bin"]);
    const again = await pull(store);
    expect(again.tree).toBe(pulled.tree);
    expect(await wrongFiles(again.tree, model)).toEqual([]);
    await collect(store);
    expect(await readFile(join(shown, "config.json"))).toEqual(bytesOf(1, 9));
    await store.endLease(leaseOf(pulled).id);
    await collect(store);
    expect(await readdir(store.paths.retired)).toEqual([]);
    expect(await wrongFiles(again.tree, model)).toEqual([]);
  });

  test("takes its tree along at once where nobody has it mounted", async () => {
    await using store = await makeStore();
    await pull(store);
    await rot(store);
    await scrub(store, {});
    expect(await readdir(store.paths.trees)).toEqual([]);
    await expect(readdir(store.paths.retired)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("a scrub that must not disturb", () => {
  test("waits before each chunk it reads, for as many bytes, and reads all of them", async () => {
    await using store = await makeStore();
    await pull(store);
    const paced: number[] = [];
    const { bytes } = await scrub(store, { pace: async (count) => void paced.push(count) });
    expect(paced.length).toBeGreaterThan(1);
    expect(paced.reduce((sum, count) => sum + count, 0)).toBe(bytes);
  });

  test("passes over a file that was evicted while it waited", async () => {
    await using store = await makeStore();
    await pull(store);
    const pace = () => rm(store.paths.files, { recursive: true, force: true });
    expect(await scrub(store, { pace })).toMatchObject({ problems: [] });
  });
});

describe("a kept lease", () => {
  test("is there when the store is opened again, until it is ended", async () => {
    const root = await mkdtemp(join(tmpdir(), "ballast-leases-"));
    try {
      let lease: LeaseRecord;
      {
        await using store = await openStore(root);
        const pulled = await pull(store);
        lease = leaseOf(pulled);
        await store.keepLease(lease);
      }
      {
        await using store = await openStore(root);
        expect(store.keptLeases()).toEqual([lease]);
        expect(store.isLeased(lease)).toBe(true);
        await store.endLease(lease.id);
        await store.endLease(lease.id);
      }
      await using store = await openStore(root);
      expect(store.keptLeases()).toEqual([]);
      expect(store.isLeased(lease)).toBe(false);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
