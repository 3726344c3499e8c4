import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { smallFileBytes } from "./file-batch.ts";
import { type Origin, originKey, type StorePaths } from "./store-paths.ts";
import { wholeFiles } from "./whole-files.ts";

/** Counts the inodes that bringing files into a store takes, for those not here and not begun. */
export async function countNewInodes(
  paths: StorePaths,
  origin: Origin,
  files: readonly IndexedFile[],
): Promise<number> {
  const wanted = new Map(files.map((file) => [fileId(file), file]));
  const ids = [...wanted.keys()];
  const whole = await wholeFiles(
    paths,
    ids.map((id) => ({ id })),
  );
  const begun = await readdir(join(paths.ingest, originKey(origin))).catch(undefinedIfMissing);
  const known = whole.union(new Set(begun));
  let inodes = 0;
  // A folder, the data and a journal.
  for (const [id, { size }] of wanted) if (!known.has(id)) inodes += size < smallFileBytes ? 1 : 3;
  return inodes;
}
