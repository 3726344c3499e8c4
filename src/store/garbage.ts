import { join } from "node:path";
import { forEachConcurrently } from "../core/concurrently.ts";
import { digestHex } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import { chooseVictims, freeSpace, shortageOf, type Watermarks } from "./eviction.ts";
import { createIndexFiles } from "./index-files.ts";
import {
  countOwners,
  listContent,
  measure,
  type Needs,
  namesIn,
  readNeeds,
  sumOf,
} from "./model-needs.ts";
import { listRecords, removeRecord, type StoredRecord, sweepRecords } from "./model-record.ts";
import { giveUpReserve, keepReserve } from "./reserve.ts";
import type { Store } from "./store.ts";
import { originKey, type StorePaths } from "./store-paths.ts";
import { moveToTrash, removeAll } from "./trash.ts";

export interface Sweep {
  /** Bytes of the files that were deleted (or would be). */
  readonly freedBytes: number;
  readonly removed: readonly StoredRecord[];
}

export interface SweepOptions extends Abortable {
  /** Evict least recently used models, never leased or pinned ones, as far as these ask for it. */
  readonly watermarks?: Watermarks | undefined;
  /** Evict only of these. */
  readonly among?: readonly StoredRecord[] | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What is in a store when models are chosen to go. */
interface Inventory {
  readonly needs: Needs;
  /** Paths of all files, also those that no model needs. */
  readonly content: ReadonlySet<string>;
}

/**
 * Evicts models as asked, then deletes whatever no remaining model needs. Pulls, leases and other
 * collections may run in the same process: what a lease or a pull under way counts on stays.
 */
export async function collect(store: Store, options: SweepOptions = {}): Promise<Sweep> {
  const { watermarks = {}, among } = options;
  const mayGo = (record: StoredRecord) =>
    among === undefined || among.some((each) => isSame(each, record));
  return clean(store, options, ({ needs, content }) => {
    const idle = [...needs.keys()].filter((each) => !each.pinned && !store.isLeased(each));
    const evictable = idle.filter(mayGo);
    return evict(store, { needs, content }, { evictable, watermarks });
  });
}

/**
 * Removes one model and what nothing else needs. Resolves to the bytes of the files deleted.
 * Rejects with MODEL_IN_USE while it is leased or pinned.
 */
export async function removeModelRecord(
  store: Store,
  record: StoredRecord,
  options: Abortable = {},
): Promise<number> {
  const { freedBytes } = await clean(store, options, async ({ needs }) => {
    // Read anew: it may have been pinned, or removed, since the caller looked.
    const removed = [...needs.keys()].filter((each) => isSame(each, record));
    for (const each of removed) {
      if (store.isLeased(each))
        throw inUse(each, "is in use", "wait until it is unmounted or its pull ends");
      if (each.pinned) throw inUse(each, "is pinned", "unpin it first: ballast store unpin");
    }
    return removed;
  });
  return freedBytes;
}

function inUse(record: StoredRecord, why: string, hint: string): ModelError {
  const name = `${record.origin.name}@${record.manifest}`;
  return new ModelError("MODEL_IN_USE", `${name} ${why}`, { hint });
}

function isSame(one: StoredRecord, other: StoredRecord): boolean {
  return one.manifest === other.manifest && originKey(one.origin) === originKey(other.origin);
}

/**
 * Takes the chosen models and all that is not needed without them out of sight while nobody begins
 * a lease or changes a record, and deletes it after that.
 */
async function clean(
  store: Store,
  { dryRun = false, signal }: SweepOptions,
  choose: (inventory: Inventory) => Promise<readonly StoredRecord[]>,
): Promise<Sweep> {
  const { paths } = store;
  const trashed: string[] = [];
  const mark = async () => {
    const content = await listContent(paths);
    const needs = await readNeeds(paths, await listRecords(paths), {
      content,
      files: createIndexFiles(paths),
    });
    const removed = await choose({ needs, content });
    const kept = new Map([...needs].filter(([record]) => !removed.includes(record)));
    const unneeded = content.difference(countOwners(kept));
    const freedBytes = sumOf(unneeded, await measure(unneeded));
    const leased = [...kept.keys()].filter(store.isLeased);
    if (!dryRun) await hide(paths, { kept, removed, unneeded, leased }, trashed);
    return { freedBytes, removed };
  };
  return store.collections.hold(
    async () => {
      try {
        return await store.changes.hold(mark, { signal });
      } finally {
        for (const path of trashed) await removeAll(path);
        await keepReserve(paths);
      }
    },
    { signal },
  );
}

async function evict(
  store: Store,
  { needs, content }: Inventory,
  { evictable, watermarks }: { evictable: readonly StoredRecord[]; watermarks: Watermarks },
): Promise<StoredRecord[]> {
  if (Object.values(watermarks).every((mark) => mark === undefined)) return [];
  const sizes = await measure(content);
  // What no model needs goes in any case.
  const needed = countOwners(needs);
  const garbage = content.difference(needed);
  const { freeBytes, freeInodes } = await freeSpace(store.paths.root);
  const shortage = shortageOf(watermarks, {
    bytes: sumOf(needed.keys(), sizes),
    freeBytes: freeBytes + sumOf(garbage, sizes) - store.ledger.reservedBytes,
    freeInodes: freeInodes + garbage.size,
  });
  return chooseVictims(needs, evictable, { shortage, sizes });
}

/** Forgets models, then moves trees before files: a kill in between leaves no tree without one. */
async function hide(
  paths: StorePaths,
  {
    kept,
    removed,
    unneeded,
    leased,
  }: {
    readonly kept: Needs;
    readonly removed: readonly StoredRecord[];
    readonly unneeded: Iterable<string>;
    readonly leased: readonly StoredRecord[];
  },
  trashed: string[],
): Promise<void> {
  let given: Promise<void> | undefined;
  const makeRoom = () => {
    given ??= giveUpReserve(paths);
    return given;
  };
  const drop = async (path: string) => {
    await makeRoom();
    const aside = await moveToTrash(paths, path);
    if (aside !== undefined) trashed.push(aside);
  };
  const dropOthers = async (folder: string, keep: readonly string[]) => {
    const others = new Set(await namesIn(folder)).difference(new Set(keep));
    await forEachConcurrently(others, 16, (name) => drop(join(folder, name)));
  };
  const records = [...kept.keys()];
  if (removed.length > 0) await makeRoom();
  for (const record of removed) await removeRecord(paths, record);
  await dropOthers(
    paths.trees,
    records.map((record) => record.treeId),
  );
  const shown = new Set(leased.map((record) => record.treeId));
  const retired = await namesIn(paths.retired);
  await dropOthers(
    paths.retired,
    retired.filter((name) => shown.has(name.slice(0, name.lastIndexOf("-")))),
  );
  await forEachConcurrently(unneeded, 16, drop);
  await dropOthers(
    paths.ingest,
    records.map((record) => originKey(record.origin)),
  );
  await dropOthers(
    paths.blobs,
    records.flatMap(({ manifest, index }) => [manifest, index].map(digestHex)),
  );
  await sweepRecords(paths);
}
