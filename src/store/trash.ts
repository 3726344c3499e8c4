import { randomBytes } from "node:crypto";
import { chmod, lstat, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { systemCode } from "../core/errors.ts";
import type { StorePaths } from "./store-paths.ts";

/**
 * Takes a file or folder out of sight by one rename, then deletes it. What a crash leaves in the
 * trash is deleted when the store is next opened. Idempotent.
 */
export async function discard(paths: StorePaths, path: string): Promise<void> {
  const aside = await moveToTrash(paths, path);
  if (aside !== undefined) await removeAll(aside);
}

/** The first half of `discard`: returns what `removeAll` deletes; undefined when nothing is there. */
export async function moveToTrash(paths: StorePaths, path: string): Promise<string | undefined> {
  const aside = join(paths.trash, randomBytes(8).toString("hex"));
  try {
    // A folder that moves to another parent must be writable by its owner.
    if ((await lstat(path)).isDirectory()) await chmod(path, 0o755);
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  return aside;
}

/** Deletes everything in the trash. */
export async function emptyTrash(paths: StorePaths): Promise<void> {
  for (const name of (await readdir(paths.trash).catch(undefinedIfMissing)) ?? [])
    await removeAll(join(paths.trash, name));
}

/** Trees are read-only folders: their owner needs the write bit back to delete what is inside. */
export async function removeAll(path: string): Promise<void> {
  if ((await lstat(path)).isDirectory()) {
    await chmod(path, 0o755);
    for (const entry of await readdir(path, { withFileTypes: true, recursive: false }))
      if (entry.isDirectory()) await removeAll(join(path, entry.name));
  }
  await rm(path, { recursive: true, force: true });
}
