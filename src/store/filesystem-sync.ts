import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { forEachConcurrently } from "../core/concurrently.ts";

/** Up to so many files are synced one by one. */
const fewFiles = 4;

/**
 * Flushes files of one filesystem to disk: many at once through coreutils' `sync -f` (syncfs(2),
 * which Node does not have), few, or where there is no such program, each by fsync.
 */
export async function syncFiles(paths: readonly string[]): Promise<void> {
  const [first] = paths;
  if (first === undefined) return;
  if (paths.length > fewFiles && (await syncFilesystem(first))) return;
  await forEachConcurrently(paths, 16, async (path) => {
    await using handle = await open(path, "r");
    await handle.sync();
  });
}

async function syncFilesystem(path: string): Promise<boolean> {
  try {
    await promisify(execFile)("sync", ["-f", path]);
    return true;
  } catch {
    return false;
  }
}
