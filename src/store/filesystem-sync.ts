import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { forEachConcurrently } from "../core/concurrently.ts";
import { syncDirectory } from "../core/durable-file.ts";

/** Up to so many are synced one by one. */
const few = 4;

/**
 * Flushes files of one filesystem to disk: many at once through coreutils' `sync -f` (syncfs(2),
 * which Node does not have), few, or where there is no such program, each by fsync.
 */
export async function syncFiles(paths: readonly string[]): Promise<void> {
  await syncAll(paths, async (path) => {
    await using handle = await open(path, "r");
    await handle.sync();
  });
}

/** The same for the entries of folders; filesystems that cannot are left as they are. */
export async function syncDirectories(paths: readonly string[]): Promise<void> {
  await syncAll(paths, syncDirectory);
}

async function syncAll(
  paths: readonly string[],
  sync: (path: string) => Promise<void>,
): Promise<void> {
  const [first] = paths;
  if (first === undefined) return;
  if (paths.length > few && (await syncFilesystem(first))) return;
  await forEachConcurrently(paths, 16, sync);
}

async function syncFilesystem(path: string): Promise<boolean> {
  try {
    await promisify(execFile)("sync", ["-f", path]);
    return true;
  } catch {
    return false;
  }
}
