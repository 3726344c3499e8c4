import { chmod, rm, stat } from "node:fs/promises";
import { forEachConcurrently } from "../core/concurrently.ts";
import { syncDirectory } from "../core/durable-file.ts";
import { ModelError } from "../core/errors.ts";
import { syncFiles } from "./filesystem-sync.ts";
import type { StorePaths } from "./store-paths.ts";
import { isWhole, showWhole } from "./whole-files.ts";

/** Files below this many bytes (1 MiB) are committed in batches around one sync of the filesystem. */
export const smallFileBytes = 1_048_576;

export interface WrittenFile {
  readonly id: string;
  /** Where its verified bytes lie now, on the store's filesystem. */
  readonly path: string;
  readonly size: number;
}

/** Makes a batch of verified files durable and visible under their ids. Idempotent per file. */
export async function commitBatch(paths: StorePaths, batch: readonly WrittenFile[]): Promise<void> {
  if (batch.length === 0) return;
  const fresh: WrittenFile[] = [];
  await forEachConcurrently(batch, 16, async (file) => {
    if (await isWhole(paths.file(file.id), file.size)) return rm(file.path);
    const actual = await stat(file.path);
    if (actual.size !== file.size)
      throw new ModelError("STORE_IO", `${file.path} is ${actual.size} bytes, not ${file.size}`);
    if ((actual.mode & 0o777) !== 0o444) await chmod(file.path, 0o444);
    fresh.push(file);
    return undefined;
  });
  await syncFiles(fresh.map((file) => file.path));
  await forEachConcurrently(fresh, 16, async ({ id, path, size }) => {
    if (!showWhole(path, paths.file(id), size)) await rm(path);
  });
  await syncDirectory(paths.files);
}
