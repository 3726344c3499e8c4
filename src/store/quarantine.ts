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
 * show it: they share its bytes. The next pull fetches it again. Idempotent.
 */
export async function quarantineFile(paths: StorePaths, id: string): Promise<void> {
  for (const record of await listRecords(paths)) {
    const index = await readIndex(paths, record);
    if (index?.files.some((file) => fileId(file) === id) === true)
      await discard(paths, join(paths.trees, record.treeId));
  }
  await mkdir(paths.quarantine, { recursive: true });
  try {
    await chmod(paths.file(id), 0o400);
    await rename(paths.file(id), join(paths.quarantine, id));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}
