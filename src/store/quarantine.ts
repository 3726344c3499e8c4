import { chmod, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { fileId } from "../core/chunk-index.ts";
import { systemCode } from "../core/errors.ts";
import { readIndex } from "./chunk-locations.ts";
import { listRecords } from "./model-record.ts";
import type { StorePaths } from "./store-paths.ts";
import { discard } from "./trash.ts";

/**
 * Takes a rotten file out of sight, keeps it in quarantine/ for a look, and forgets the trees that
 * show it: they share its bytes. The next pull copies what is right in it and fetches the rest, all
 * of it when its `name` there is not its id. Idempotent.
 */
export async function quarantineFile(
  paths: StorePaths,
  id: string,
  name: string = id,
): Promise<void> {
  const trees = await treesWith(paths, id);
  for (const tree of trees) await discard(paths, tree);
  await mkdir(paths.quarantine, { recursive: true });
  try {
    await chmod(paths.file(id), 0o400);
    await rename(paths.file(id), join(paths.quarantine, name));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  // Those that were being built meanwhile; not only now, for a kill would leave all of them.
  for (const tree of trees) await discard(paths, tree);
}

async function treesWith(paths: StorePaths, id: string): Promise<Set<string>> {
  const trees = new Set<string>();
  for (const record of await listRecords(paths)) {
    const index = await readIndex(paths, record);
    if (index?.files.some((file) => fileId(file) === id) === true)
      trees.add(join(paths.trees, record.treeId));
  }
  return trees;
}
