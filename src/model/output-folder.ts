import { readdir, rm, rmdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathExists, undefinedIfMissing } from "../core/absence.ts";
import { type ChunkIndex, fileId, type IndexedFile } from "../core/chunk-index.ts";
import { type Digest, digestHex } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { quotePath } from "../core/model-path.ts";
import type { ChunkLocation } from "../store/chunk-locations.ts";
import { syncDirectories } from "../store/filesystem-sync.ts";
import { storePaths } from "../store/store-paths.ts";
import type { PulledFile, PulledState } from "./pulled-state.ts";

/** Where Ballast keeps its own files inside an output folder. */
export const stateFolder = ".ballast";
/** In there: copies and links on their way to their places. */
export const stagingFolder = "placing";
/** What stays in there between pulls. Locks are removed by those who hold or want them. */
const staysInState = /^(?:VERSION|blobs|pulled\.json|lock(?:\..+)?)$/;

/** Refuses a model with files where Ballast keeps its own. Throws INVALID_PATH. */
export function refuseReservedPaths(index: ChunkIndex, name: string): void {
  const bad = index.files.find((file) => /^\.ballast(\/|$)/i.test(file.path));
  if (bad !== undefined)
    throw new ModelError("INVALID_PATH", `${name} has a file ${quotePath(bad.path)}`, {
      hint: "that name is Ballast's own inside an output folder; pull into the store instead (without -o)",
    });
}

/** Chunks of an earlier pull into the folder, in files that nobody changed since. */
export async function donorsOf(
  directory: string,
  state: PulledState,
  index: ChunkIndex,
): Promise<Map<Digest, ChunkLocation>> {
  const donors = new Map<Digest, ChunkLocation>();
  const byPath = new Map(index.files.map((file) => [file.path, file]));
  for (const pulled of state.files) {
    const path = join(directory, pulled.path);
    const file = byPath.get(pulled.path);
    const found = await stat(path).catch(undefinedIfMissing);
    if (file === undefined || found === undefined || !isUntouched(pulled, found)) continue;
    let offset = 0;
    for (const chunk of file.chunks) {
      donors.set(chunk.digest, { path, offset });
      offset += chunk.size;
    }
  }
  return donors;
}

/**
 * Removes files of an earlier pull that the new model does not have, unless somebody changed them.
 * Returns their paths.
 */
export async function removeObsolete(
  directory: string,
  obsolete: readonly PulledFile[],
): Promise<string[]> {
  const removed: string[] = [];
  for (const file of obsolete) {
    const path = join(directory, file.path);
    const found = await stat(path).catch(undefinedIfMissing);
    if (found === undefined || !isUntouched(file, found)) continue;
    await unlink(path);
    removed.push(file.path);
    for (let folder = dirname(path); folder !== directory; folder = dirname(folder))
      if (!(await removeIfEmpty(folder))) break;
  }
  return removed.sort();
}

/** Makes what was put at and removed from these paths survive power loss. */
export async function syncPlaces(directory: string, paths: readonly string[]): Promise<void> {
  const folders = new Set<string>();
  for (const path of paths) {
    let folder = path;
    do folders.add((folder = dirname(folder)));
    while (folder !== ".");
  }
  const here: string[] = [];
  for (const folder of folders)
    if (await pathExists(join(directory, folder))) here.push(join(directory, folder));
  await syncDirectories(here);
}

/** What to remember of a file in its place, to tell later whether somebody changed it. */
export async function describePulled(directory: string, file: IndexedFile): Promise<PulledFile> {
  const { size, mtimeMs } = await stat(join(directory, file.path));
  return { path: file.path, id: fileId(file), size, mtimeMs };
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  return rmdir(folder).then(
    () => true,
    () => false,
  );
}

/** Whether a file of an earlier pull is as it was left. */
export function isUntouched(file: PulledFile, found: { size: number; mtimeMs: number }): boolean {
  return found.size === file.size && found.mtimeMs === file.mtimeMs;
}

/** Removes what only a running pull needs from the state folder, and documents but for `keep`. */
export async function clearWork(directory: string, keep: readonly Digest[]): Promise<void> {
  const paths = storePaths(join(directory, stateFolder));
  for (const name of await readdir(paths.root))
    if (!staysInState.test(name))
      await rm(join(paths.root, name), { recursive: true, force: true });
  const kept = new Set(keep.map(digestHex));
  for (const name of await readdir(paths.blobs))
    if (!kept.has(name)) await rm(join(paths.blobs, name), { force: true });
}
