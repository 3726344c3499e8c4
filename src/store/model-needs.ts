import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import type { IndexFiles } from "./index-files.ts";
import { ingestFolder } from "./ingest.ts";
import { grantedFiles, type StoredRecord } from "./model-record.ts";
import { originKey, type StorePaths } from "./store-paths.ts";

/** What each model keeps: paths of its files that are here, whole or unfinished. */
export type Needs = ReadonlyMap<StoredRecord, ReadonlySet<string>>;

/** Paths of all content: whole files, unfinished ones, and those in quarantine. */
export async function listContent(paths: StorePaths): Promise<Set<string>> {
  const folders = [paths.files, paths.quarantine];
  for (const key of await namesIn(paths.ingest)) folders.push(join(paths.ingest, key));
  const found = await Promise.all(
    folders.map(async (folder) => (await namesIn(folder)).map((name) => join(folder, name))),
  );
  return new Set(found.flat());
}

/** Tells which of `content` each model keeps; `files` spares the reading of indexes that it knows. */
export async function readNeeds(
  paths: StorePaths,
  records: readonly StoredRecord[],
  { content, files }: { readonly content: ReadonlySet<string>; readonly files: IndexFiles },
): Promise<Needs> {
  const needs = new Map<StoredRecord, Set<string>>();
  for (const record of records) {
    const all = await claimed(paths, record, { content, files });
    needs.set(record, new Set(all.filter((path) => content.has(path))));
  }
  return needs;
}

/** How many models keep each path. */
export function countOwners(needs: Needs): Map<string, number> {
  const owners = new Map<string, number>();
  for (const paths of needs.values())
    for (const path of paths) owners.set(path, (owners.get(path) ?? 0) + 1);
  return owners;
}

/** Bytes of each of these paths. */
export async function measure(content: Iterable<string>): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  await forEachConcurrently(content, 16, async (path) => {
    sizes.set(path, await bytesOf(path));
  });
  return sizes;
}

export function sumOf(paths: Iterable<string>, sizes: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const path of paths) sum += sizes.get(path) ?? 0;
  return sum;
}

/** Bytes of files that only one model needs, for each: what removing it would free. */
export function exclusiveBytes(
  needs: Needs,
  sizes: ReadonlyMap<string, number>,
): Map<StoredRecord, number> {
  const owners = countOwners(needs);
  const exclusive = new Map<StoredRecord, number>();
  for (const [record, needed] of needs) {
    const own = [...needed].filter((path) => owners.get(path) === 1);
    exclusive.set(record, sumOf(own, sizes));
  }
  return exclusive;
}

/** Names in a folder, none where there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(undefinedIfMissing)) ?? [];
}

async function claimed(
  paths: StorePaths,
  record: StoredRecord,
  { content, files }: { readonly content: ReadonlySet<string>; readonly files: IndexFiles },
): Promise<string[]> {
  const { origin } = record;
  const named = await files.filesOf(record);
  if (named !== undefined)
    return named.flatMap(({ id }) => [paths.file(id), ingestFolder(paths, origin, id)]);
  // Its trees show what was granted under it; what was on its way nobody can tell any more.
  const granted = await grantedFiles(paths, record);
  const begun = join(paths.ingest, originKey(origin), "/");
  return [...granted]
    .map((id) => paths.file(id))
    .concat([...content].filter((path) => path.startsWith(begun)));
}

/** An unfinished file is as long as the whole, but has holes: what counts is its place on disk. */
async function bytesOf(path: string): Promise<number> {
  const found = await stat(path).catch(undefinedIfMissing);
  if (found?.isDirectory() !== true) return found?.size ?? 0;
  return ((await stat(join(path, "data")).catch(undefinedIfMissing))?.blocks ?? 0) * 512;
}
