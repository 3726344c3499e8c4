import { renameSync, statSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { pathExists, undefinedIfMissing } from "../core/absence.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import type { StorePaths } from "./store-paths.ts";

/** From so many on, one listing of the folder is cheaper than a look at each. */
const manyFiles = 256;

/** Ids of those of `files` that are in the store whole. */
export async function wholeFiles(
  paths: StorePaths,
  files: readonly { readonly id: string }[],
): Promise<ReadonlySet<string>> {
  if (files.length >= manyFiles) return new Set(await readdir(paths.files));
  const whole = new Set<string>();
  await forEachConcurrently(files, 16, async ({ id }) => {
    if (await pathExists(paths.file(id))) whole.add(id);
  });
  return whole;
}

/** Tells whether a committed file is at `path`, by its length: its bytes were verified before. */
export async function isWhole(path: string, size: number): Promise<boolean> {
  return (await stat(path).catch(undefinedIfMissing))?.size === size;
}

/**
 * Renames a verified file to its place; false when one is there already, which stays, since trees
 * link to its inode. Synchronous, so that two origins that commit the same file at once do not both
 * find its place empty.
 */
export function showWhole(from: string, to: string, size: number): boolean {
  if (statSync(to, { throwIfNoEntry: false })?.size === size) return false;
  renameSync(from, to);
  return true;
}
