import { readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { pathExists } from "../core/absence.ts";
import { sweepDeadLocks } from "./lock.ts";
import { namesIn } from "./model-needs.ts";
import { grantedFiles, listRecords } from "./model-record.ts";
import { originKey, type StorePaths } from "./store-paths.ts";
import { emptyTrash } from "./trash.ts";

/** Removes what a crash left and nobody goes on with. For a store that is just being opened. */
export async function recover(paths: StorePaths): Promise<void> {
  await emptyTrash(paths);
  await sweepDeadLocks(paths.lock);
  for (const name of await readdir(paths.root))
    if (name.startsWith("VERSION.tmp-")) await rm(join(paths.root, name), { force: true });
  for (const name of await namesIn(paths.leases))
    if (name.includes(".tmp-")) await rm(join(paths.leases, name), { force: true });
  const keys = await readdir(paths.ingest);
  const granted = keys.length === 0 ? new Map<string, Set<string>>() : await grantsByOrigin(paths);
  for (const key of keys) {
    const ofOrigin = join(paths.ingest, key);
    for (const entry of await readdir(ofOrigin, { withFileTypes: true })) {
      const path = join(ofOrigin, entry.name);
      const begun = !entry.isDirectory() || (await pathExists(join(path, "data")));
      // Killed after another origin had committed the same file: this one's write is over as well.
      const over =
        granted.get(key)?.has(entry.name) === true && (await pathExists(paths.file(entry.name)));
      if (over || !begun) await rm(path, { recursive: true, force: true });
    }
    if ((await readdir(ofOrigin)).length === 0) await rmdir(ofOrigin);
  }
}

async function grantsByOrigin(paths: StorePaths): Promise<Map<string, Set<string>>> {
  const granted = new Map<string, Set<string>>();
  for (const record of await listRecords(paths)) {
    const key = originKey(record.origin);
    const before = granted.get(key) ?? new Set<string>();
    granted.set(key, before.union(await grantedFiles(paths, record)));
  }
  return granted;
}
