import { open, readdir, readFile, rm, rmdir, stat, utimes } from "node:fs/promises";
import { basename, join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { isRecord } from "../core/chunk-index.ts";
import { type Digest, digestHex, isDigest } from "../core/digest.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { makeFolder } from "../core/make-folder.ts";
import { parseOrUndefined } from "../core/parse-or-undefined.ts";
import type { Origin, StorePaths } from "./store-paths.ts";

/** That an origin gave us a model: which manifest, which tree, under which tags. */
export interface ModelRecord {
  readonly origin: Origin;
  readonly manifest: Digest;
  readonly index: Digest;
  readonly treeId: string;
  /** Bytes of all files. */
  readonly bytes: number;
  readonly files: number;
  /** Tags that named this manifest when they were last resolved. */
  readonly tags: readonly string[];
  /** A pin: only an operator ends it. */
  readonly pinned: boolean;
}

export interface StoredRecord extends ModelRecord {
  /** When the model was last pulled or asked for. */
  readonly lastUsed: Date;
}

// Repository names have no component that starts with "_", so this folder cannot be one.
const recordFolder = "_models";

/**
 * Writes or replaces a record; survives power loss. One that was read before keeps its time of last
 * use, a new one is used now.
 */
export async function writeRecord(
  paths: StorePaths,
  record: ModelRecord & { readonly lastUsed?: Date | undefined },
): Promise<void> {
  await makeFolder(folderOf(paths, record.origin));
  const { origin, lastUsed, ...rest } = record;
  const body = { name: origin.name, host: origin.host, repository: origin.repository, ...rest };
  await writeFileDurably(recordPath(paths, origin, record.manifest), `${JSON.stringify(body)}\n`);
  if (lastUsed !== undefined) await setLastUsed(paths, record, lastUsed);
}

/** The record of one manifest of an origin, or undefined. */
export async function readRecord(
  paths: StorePaths,
  origin: Origin,
  manifest: Digest,
): Promise<StoredRecord | undefined> {
  return readRecordFile(recordPath(paths, origin, manifest));
}

/** Marks a model as used now; eviction takes the least recently used first. */
export async function touchRecord(paths: StorePaths, record: ModelRecord): Promise<void> {
  await setLastUsed(paths, record, new Date());
}

/** Forgets a model and what it was granted. Idempotent. */
export async function removeRecord(paths: StorePaths, record: ModelRecord): Promise<void> {
  await rm(recordPath(paths, record.origin, record.manifest), { force: true });
  await rm(grantPath(paths, record), { force: true });
}

/**
 * Deletes what is left beside the records: half-written ones, grants without a record, folders of
 * repositories that have none any more.
 */
export async function sweepRecords(paths: StorePaths): Promise<void> {
  const entries = await listEntries(paths.grants);
  const there = new Set(entries);
  for (const path of entries) {
    const orphaned = path.endsWith(".files") && !there.has(path.replace(/files$/, "json"));
    if (orphaned || /\.json\.tmp-[0-9a-f]+$/.test(path)) await rm(path, { force: true });
  }
  await removeEmptyFolders(paths.grants);
}

/** All records, of every origin or of one host. Files that are no record are passed over. */
export async function listRecords(paths: StorePaths, host?: string): Promise<StoredRecord[]> {
  const top = host === undefined ? paths.grants : join(paths.grants, host);
  return readRecords(await listEntries(top));
}

/** All records of one origin. */
export async function listRecordsOf(paths: StorePaths, origin: Origin): Promise<StoredRecord[]> {
  const folder = folderOf(paths, origin);
  const names = (await readdir(folder).catch(undefinedIfMissing)) ?? [];
  return readRecords(names.map((name) => join(folder, name)));
}

/**
 * Notes that this origin proved possession of files, each verified whole under this model. Durable:
 * a file that is there without a grant would be fetched again.
 */
export async function grantFiles(
  paths: StorePaths,
  record: ModelRecord,
  fileIds: readonly string[],
): Promise<void> {
  if (fileIds.length === 0) return;
  await using handle = await open(grantPath(paths, record), "a", 0o644);
  // The newline in front ends a line that an earlier write left torn.
  await handle.appendFile(`\n${fileIds.join("\n")}\n`);
  await handle.sync();
}

/** Ids of the files granted under a model; damaged lines (a torn write) are passed over. */
export async function grantedFiles(paths: StorePaths, record: ModelRecord): Promise<Set<string>> {
  const text = await readFile(grantPath(paths, record), "utf8").catch(undefinedIfMissing);
  return new Set((text ?? "").split("\n").filter((line) => /^[0-9a-f]{64}$/.test(line)));
}

async function setLastUsed(paths: StorePaths, record: ModelRecord, at: Date): Promise<void> {
  await utimes(recordPath(paths, record.origin, record.manifest), at, at);
}

function folderOf(paths: StorePaths, origin: Origin): string {
  return join(paths.grants, origin.host, origin.repository, recordFolder);
}

function recordPath(paths: StorePaths, origin: Origin, manifest: Digest): string {
  return join(folderOf(paths, origin), `${digestHex(manifest)}.json`);
}

function grantPath(paths: StorePaths, record: ModelRecord): string {
  return join(folderOf(paths, record.origin), `${digestHex(record.manifest)}.files`);
}

async function readRecords(paths: readonly string[]): Promise<StoredRecord[]> {
  const records: StoredRecord[] = [];
  for (const path of paths) {
    if (!/^[0-9a-f]{64}\.json$/.test(basename(path))) continue;
    const record = await readRecordFile(path);
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** Paths of all files in folders of records. */
async function listEntries(top: string): Promise<string[]> {
  const options = { recursive: true, withFileTypes: true } as const;
  const found = (await readdir(top, options).catch(undefinedIfMissing)) ?? [];
  return found
    .filter((entry) => entry.isFile() && basename(entry.parentPath) === recordFolder)
    .map((entry) => join(entry.parentPath, entry.name));
}

async function removeEmptyFolders(top: string): Promise<void> {
  for (const entry of await readdir(top, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(top, entry.name);
    await removeEmptyFolders(folder);
    if ((await readdir(folder)).length === 0) await rmdir(folder);
  }
}

async function readRecordFile(path: string): Promise<StoredRecord | undefined> {
  const text = await readFile(path, "utf8").catch(undefinedIfMissing);
  if (text === undefined) return undefined;
  const raw = parseOrUndefined(text);
  const found = await stat(path).catch(undefinedIfMissing);
  return isRecord(raw) && found !== undefined ? asRecord(raw, found.mtime) : undefined;
}

function asRecord(raw: Record<string, unknown>, lastUsed: Date): StoredRecord | undefined {
  const { name, host, repository, manifest, index, treeId, bytes, files, tags, pinned } = raw;
  if (typeof name !== "string" || typeof host !== "string" || typeof repository !== "string")
    return undefined;
  if (!isDigest(manifest) || !isDigest(index) || typeof treeId !== "string") return undefined;
  if (typeof bytes !== "number" || typeof files !== "number" || !Array.isArray(tags))
    return undefined;
  const origin = { name, host, repository };
  const strings = tags.filter((tag) => typeof tag === "string");
  return {
    origin,
    manifest,
    index,
    treeId,
    bytes,
    files,
    tags: strings,
    pinned: pinned === true,
    lastUsed,
  };
}
