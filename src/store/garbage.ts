import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId } from "../core/chunk-index.ts";
import { digestHex } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { readIndex } from "./chunk-locations.ts";
import {
  grantedFiles,
  listRecords,
  removeRecord,
  type StoredRecord,
  sweepRecords,
} from "./model-record.ts";
import { giveUpReserve, keepReserve } from "./reserve.ts";
import { originKey, type StorePaths } from "./store-paths.ts";
import { discard } from "./trash.ts";

interface ModelNeeds {
  /** Ids. */
  readonly files: ReadonlySet<string>;
  /** Its index cannot be read, so that `files` is only what was complete. */
  readonly indexLost: boolean;
}

type Needs = ReadonlyMap<StoredRecord, ModelNeeds>;

export interface Sweep {
  /** Bytes of the files that were deleted (or would be). */
  readonly freedBytes: number;
  readonly removed: readonly StoredRecord[];
}

export interface SweepOptions {
  /** Models that must stay: somebody uses them now. */
  readonly leased: (record: StoredRecord) => boolean;
  /** Evict least recently used models until all files together are at most this many bytes. */
  readonly maxBytes?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

/**
 * Evicts models as asked, then deletes whatever no remaining model needs. No pull may begin in the
 * meantime; those that run hold a lease.
 */
export async function collect(paths: StorePaths, options: SweepOptions): Promise<Sweep> {
  const { maxBytes, dryRun = false, leased } = options;
  const needs = await readNeeds(paths, await listRecords(paths));
  const evictable = [...needs.keys()].filter((record) => !record.pinned && !leased(record));
  const removed =
    maxBytes === undefined ? [] : await chooseVictims(paths, needs, { evictable, maxBytes });
  return { freedBytes: await remove(paths, needs, { removed, dryRun }), removed };
}

/**
 * Removes one model and what nothing else needs. Resolves to the bytes of the files deleted.
 * Rejects with MODEL_IN_USE while it is leased or pinned.
 */
export async function removeModelRecord(
  paths: StorePaths,
  record: StoredRecord,
  leased: (record: StoredRecord) => boolean,
): Promise<number> {
  if (leased(record))
    throw inUse(record, "is in use", "wait until it is unmounted or its pull ends");
  if (record.pinned) throw inUse(record, "is pinned", "unpin it first: ballast store unpin");
  const needs = await readNeeds(paths, await listRecords(paths));
  const removed = [...needs.keys()].filter((each) => isSame(each, record));
  return remove(paths, needs, { removed, dryRun: false });
}

/** Bytes of files that only one model needs, for each: what removing it would free. */
export async function exclusiveBytes(
  paths: StorePaths,
  records: readonly StoredRecord[],
): Promise<Map<StoredRecord, number>> {
  const needs = await readNeeds(paths, records);
  const sizes = await fileSizes(paths);
  const owners = countOwners(needs);
  const exclusive = new Map<StoredRecord, number>();
  for (const [record, { files }] of needs) {
    const own = [...files].filter((id) => owners.get(id) === 1);
    exclusive.set(record, sumOf(own, sizes));
  }
  return exclusive;
}

function inUse(record: StoredRecord, why: string, hint: string): ModelError {
  const name = `${record.origin.name}@${record.manifest}`;
  return new ModelError("MODEL_IN_USE", `${name} ${why}`, { hint });
}

function isSame(one: StoredRecord, other: StoredRecord): boolean {
  return one.manifest === other.manifest && originKey(one.origin) === originKey(other.origin);
}

/** A model whose index is lost still needs what was granted under it: its trees show those files. */
async function readNeeds(paths: StorePaths, records: readonly StoredRecord[]): Promise<Needs> {
  const needs = new Map<StoredRecord, ModelNeeds>();
  for (const record of records) {
    const index = await readIndex(paths, record);
    const ids = index?.files.map(fileId) ?? (await grantedFiles(paths, record));
    needs.set(record, { files: new Set(ids), indexLost: index === undefined });
  }
  return needs;
}

function countOwners(needs: Needs): Map<string, number> {
  const owners = new Map<string, number>();
  for (const { files } of needs.values())
    for (const id of files) owners.set(id, (owners.get(id) ?? 0) + 1);
  return owners;
}

async function chooseVictims(
  paths: StorePaths,
  needs: Needs,
  { evictable, maxBytes }: { evictable: readonly StoredRecord[]; maxBytes: number },
): Promise<StoredRecord[]> {
  const sizes = await fileSizes(paths);
  const owners = countOwners(needs);
  let used = sumOf(owners.keys(), sizes);
  const victims: StoredRecord[] = [];
  const oldestFirst = evictable.toSorted((a, b) => a.lastUsed.getTime() - b.lastUsed.getTime());
  for (const victim of oldestFirst) {
    if (used <= maxBytes) break;
    victims.push(victim);
    for (const id of needs.get(victim)?.files ?? []) {
      const left = (owners.get(id) ?? 1) - 1;
      owners.set(id, left);
      if (left === 0) used -= sizes.get(id) ?? 0;
    }
  }
  return victims;
}

/** Forgets models, then deletes trees before files: a kill in between leaves no tree without one. */
async function remove(
  paths: StorePaths,
  needs: Needs,
  { removed, dryRun }: { removed: readonly StoredRecord[]; dryRun: boolean },
): Promise<number> {
  const kept = new Map([...needs].filter(([record]) => !removed.includes(record)));
  if (dryRun) return sweep(paths, kept, () => Promise.resolve());
  await giveUpReserve(paths);
  for (const record of removed) await removeRecord(paths, record);
  const freed = await sweep(paths, kept, (path) => discard(paths, path));
  await sweepRecords(paths);
  await keepReserve(paths);
  return freed;
}

/** Drops what no model of `kept` needs; returns the bytes of it. */
async function sweep(
  paths: StorePaths,
  kept: Needs,
  drop: (path: string) => Promise<void>,
): Promise<number> {
  let freed = 0;
  const dropCounted = async (path: string, bytes: Promise<number>) => {
    freed += await bytes;
    await drop(path);
  };
  const records = [...kept.keys()];
  const trees = new Set(records.map((record) => record.treeId));
  for (const tree of await names(paths.trees))
    if (!trees.has(tree)) await drop(join(paths.trees, tree));
  const files = new Set([...kept.values()].flatMap((needs) => [...needs.files]));
  for (const id of await names(paths.files))
    if (!files.has(id)) await dropCounted(paths.file(id), sizeOf(paths.file(id)));
  for (const id of await names(paths.quarantine)) {
    const path = join(paths.quarantine, id);
    await dropCounted(path, sizeOf(path));
  }
  for (const path of await unneededIngests(paths, kept)) await dropCounted(path, ingestBytes(path));
  const blobs = new Set(records.flatMap(({ manifest, index }) => [manifest, index].map(digestHex)));
  for (const hex of await names(paths.blobs))
    if (!blobs.has(hex)) await drop(join(paths.blobs, hex));
  return freed;
}

/** Unfinished files that no model of their origin needs. */
async function unneededIngests(paths: StorePaths, kept: Needs): Promise<string[]> {
  const needed = new Set<string>();
  const spared = new Set<string>();
  for (const [{ origin }, { files, indexLost }] of kept) {
    if (indexLost) spared.add(originKey(origin));
    for (const id of files) needed.add(`${originKey(origin)}/${id}`);
  }
  const unneeded: string[] = [];
  for (const key of await names(paths.ingest)) {
    if (spared.has(key)) continue;
    for (const id of await names(join(paths.ingest, key)))
      if (!needed.has(`${key}/${id}`)) unneeded.push(join(paths.ingest, key, id));
  }
  return unneeded;
}

async function fileSizes(paths: StorePaths): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const id of await names(paths.files)) sizes.set(id, await sizeOf(paths.file(id)));
  return sizes;
}

function sumOf(ids: Iterable<string>, sizes: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const id of ids) sum += sizes.get(id) ?? 0;
  return sum;
}

async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(undefinedIfMissing)) ?? [];
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(undefinedIfMissing))?.size ?? 0;
}

/** What an unfinished file takes of the disk: it is as long as the whole, but has holes. */
async function ingestBytes(path: string): Promise<number> {
  const found =
    (await stat(join(path, "data")).catch(undefinedIfMissing)) ??
    (await stat(path).catch(undefinedIfMissing));
  return found?.isFile() === true ? found.blocks * 512 : 0;
}
