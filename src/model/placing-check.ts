import { randomBytes } from "node:crypto";
import { constants, copyFile, link, lstat, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import type { IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { ModelError, systemCode } from "../core/errors.ts";
import { createLedger } from "../store/ledger.ts";
import type { Store } from "../store/store.ts";
import { stagingFolder, stateFolder } from "./output-folder.ts";
import type { PulledFile } from "./pulled-state.ts";

export interface PlacingPlan {
  readonly output: string;
  /** Hard links instead of copies. */
  readonly link: boolean;
  /** Those that will be placed. */
  readonly files: readonly IndexedFile[];
  /** Those that will be removed before. */
  readonly obsolete: readonly PulledFile[];
}

/**
 * Makes sure, before anything is fetched, that files of `store` can be linked or copied into an
 * output folder. Rejects with INVALID_ARGUMENT where there can be no hard links, with NO_SPACE
 * where copies that share no blocks with the store have no room.
 */
export async function checkPlacing(store: Store, options: PlacingPlan): Promise<void> {
  const { output } = options;
  const probe = options.link ? link : clone;
  const failure = await tryOut(store, output, probe);
  if (failure === undefined) return;
  if (!options.link) {
    const bytes = await countAddedBytes(options);
    using _room = await createLedger(output, { outputFolder: output }).reserve(bytes);
  } else if (["EXDEV", "EPERM", "ENOTSUP", "ENOSYS"].includes(failure))
    throw new ModelError(
      "INVALID_ARGUMENT",
      `${output} can have no hard links into the store ${store.paths.root} (${failure}): both must be on one filesystem, and the store this user's`,
      { hint: "leave out --link to get copies, or choose another folder" },
    );
}

/** What the folder will be larger by, at the least. */
async function countAddedBytes({ output, files, obsolete }: PlacingPlan): Promise<number> {
  let bytes = -obsolete.reduce((sum, file) => sum + file.size, 0);
  await forEachConcurrently(files, 16, async ({ path, size }) => {
    const replaced = await lstat(join(output, path)).catch(undefinedIfMissing);
    bytes += size - (replaced?.isFile() === true ? replaced.size : 0);
  });
  return Math.max(0, bytes);
}

/** Does with a small file what will be done with the model's; what it failed with, if it did. */
async function tryOut(
  store: Store,
  output: string,
  probe: (from: string, to: string) => Promise<void>,
): Promise<string | undefined> {
  const staging = join(output, stateFolder, stagingFolder);
  await mkdir(staging, { recursive: true });
  const path = join(staging, randomBytes(8).toString("hex"));
  try {
    await probe(store.paths.version, path);
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    return code;
  } finally {
    await rm(path, { force: true });
  }
}

function clone(from: string, to: string): Promise<void> {
  return copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
}
