import type { Stats } from "node:fs";
import { lstat, readdir, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import { syncFiles } from "../store/filesystem-sync.ts";
import type { DiskThreads } from "../transfer/disk-threads.ts";
import { findWrongRanges } from "./file-check.ts";
import { isUntouched } from "./output-folder.ts";
import type { PulledFile, PulledState } from "./pulled-state.ts";

export interface InPlaceQuery extends Abortable {
  readonly directory: string;
  readonly files: readonly IndexedFile[];
  readonly state: PulledState | undefined;
  /** Files of the last pull that will be removed before new ones are placed. */
  readonly obsolete: readonly PulledFile[];
  readonly disk: DiskThreads;
  readonly overwrite: boolean;
}

/**
 * Finds which files are in their place already: leftovers of an earlier pull that nobody changed,
 * or files with the very bytes; all on disk. Rejects with OUTPUT_EXISTS, before anything is fetched, when
 * something else is in the way and may not be replaced.
 */
export async function findInPlace(query: InPlaceQuery): Promise<Set<string>> {
  const { directory, files, state } = query;
  const known = new Map(state?.files.map((file) => [file.path, file]));
  const obsolete = new Map(query.obsolete.map((file) => [file.path, file]));
  const inPlace = new Set<string>();
  const inTheWay = new Set<string>(await blockedFolders(directory, files, obsolete));
  await forEachConcurrently(files, 8, async (file) => {
    const outcome = await look(query, file, { before: known.get(file.path), obsolete });
    if (outcome === "in place") inPlace.add(file.path);
    if (outcome === "in the way") inTheWay.add(file.path);
  });
  if (inTheWay.size > 0) throw wouldOverwrite(directory, [...inTheWay].sort());
  return inPlace;
}

type Outcome = "free" | "in place" | "in the way";

async function look(
  { directory, disk, overwrite, signal }: InPlaceQuery,
  file: IndexedFile,
  known: {
    readonly before: PulledFile | undefined;
    readonly obsolete: ReadonlyMap<string, PulledFile>;
  },
): Promise<Outcome> {
  const path = join(directory, file.path);
  const found = await statOrLink(path);
  if (found === undefined) return "free";
  if (found.isDirectory())
    return (await holdsOnlyObsolete(directory, path, known.obsolete)) ? "free" : "in the way";
  const { before } = known;
  const untouched = before !== undefined && isUntouched(before, found);
  if (untouched && before.id === fileId(file)) return "in place";
  if (found.isFile() && (await findWrongRanges(disk, path, file, { signal })).length === 0) {
    await syncFiles([path]); // A killed run may have left it in memory only.
    return "in place";
  }
  const replaceable = overwrite && (found.isFile() || found.isSymbolicLink());
  return untouched || replaceable ? "free" : "in the way";
}

/** A link that leads nowhere is something too. */
async function statOrLink(path: string): Promise<Stats | undefined> {
  return (
    (await stat(path).catch(undefinedIfMissing)) ?? (await lstat(path).catch(undefinedIfMissing))
  );
}

/** Things that are no folder where the model has one. */
async function blockedFolders(
  directory: string,
  files: readonly IndexedFile[],
  obsolete: ReadonlyMap<string, PulledFile>,
): Promise<string[]> {
  const folders = new Set<string>();
  for (const file of files)
    for (let folder = dirname(file.path); folder !== "."; folder = dirname(folder))
      folders.add(folder);
  const blocked: string[] = [];
  for (const folder of folders) {
    const found = await statOrLink(join(directory, folder));
    if (found === undefined || found.isDirectory()) continue;
    const leftover = obsolete.get(folder);
    if (leftover === undefined || !isUntouched(leftover, found)) blocked.push(folder);
  }
  return blocked;
}

async function holdsOnlyObsolete(
  directory: string,
  folder: string,
  obsolete: ReadonlyMap<string, PulledFile>,
): Promise<boolean> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory());
  for (const entry of files) {
    const path = join(entry.parentPath, entry.name);
    const leftover = obsolete.get(relative(directory, path).split(sep).join("/"));
    if (leftover === undefined || !isUntouched(leftover, await stat(path))) return false;
  }
  return files.length > 0;
}

function wouldOverwrite(directory: string, paths: readonly string[]): ModelError {
  const more = paths.length > 1 ? ` and ${paths.length - 1} more` : "";
  return new ModelError(
    "OUTPUT_EXISTS",
    `${join(directory, paths[0] ?? "")}${more} would be replaced by other content`,
    { hint: "move it away, choose another folder, or say --overwrite" },
  );
}
