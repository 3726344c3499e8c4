import { randomBytes } from "node:crypto";
import { chmod, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId } from "../core/chunk-index.ts";
import { systemCode } from "../core/errors.ts";
import { readIndex } from "./chunk-locations.ts";
import { listRecords } from "./model-record.ts";
import type { Store } from "./store.ts";
import type { StorePaths } from "./store-paths.ts";
import { discard } from "./trash.ts";

/**
 * Takes a rotten file out of sight, keeps it in quarantine/ for a look, and forgets the trees that
 * show it: they share its bytes. Trees of leased models are only put aside, since somebody may read
 * them. The next pull copies what is right in it and fetches the rest, all of it when its `name` there
 * is not its id. Idempotent.
 */
export async function quarantineFile(
  store: Pick<Store, "paths" | "isLeased">,
  id: string,
  name: string = id,
): Promise<void> {
  const { paths } = store;
  const trees = await treesWith(store, id);
  const forget = async () => {
    for (const [tree, isLeased] of trees)
      await (isLeased ? retire(paths, tree) : discard(paths, join(paths.trees, tree)));
  };
  await forget();
  await mkdir(paths.quarantine, { recursive: true });
  try {
    await chmod(paths.file(id), 0o400);
    await rename(paths.file(id), join(paths.quarantine, name));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  // Those that were being built meanwhile; not only now, for a kill would leave all of them.
  await forget();
}

/** Moves a tree to where it stays as long as it is leased; see `collect`. */
async function retire(paths: StorePaths, treeId: string): Promise<void> {
  await mkdir(paths.retired, { recursive: true, mode: 0o700 });
  const aside = join(paths.retired, `${treeId}-${randomBytes(4).toString("hex")}`);
  await rename(join(paths.trees, treeId), aside).catch(undefinedIfMissing);
}

/** Ids of the trees that show a file, and whether a model they belong to is leased. */
async function treesWith(
  { paths, isLeased }: Pick<Store, "paths" | "isLeased">,
  id: string,
): Promise<Map<string, boolean>> {
  const trees = new Map<string, boolean>();
  for (const record of await listRecords(paths)) {
    const index = await readIndex(paths, record);
    if (index?.files.some((file) => fileId(file) === id) === true)
      trees.set(record.treeId, trees.get(record.treeId) === true || isLeased(record));
  }
  return trees;
}
