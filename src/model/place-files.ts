import { randomBytes } from "node:crypto";
import { chmod, constants, copyFile, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { describeSystemError } from "../core/system-error.ts";
import { syncFiles } from "../store/filesystem-sync.ts";
import { linkOrCopy } from "../store/tree.ts";
import { stagingFolder, stateFolder } from "./output-folder.ts";

/** How a file gets from the store to its place; a link is a copy where an inode has no more to give. */
export type Placing = "move" | "copy" | "link";

export interface PlacingOptions {
  readonly directory: string;
  readonly files: readonly IndexedFile[];
  readonly sourceOf: (file: IndexedFile) => string;
  readonly placing: Placing;
}

/**
 * Puts files in their places, each by one rename; what stood there is replaced. Copies and links
 * are made in the state folder first, so that a kill leaves no half file beside the model's. All
 * bytes are on disk when it resolves; that they are in their places may not be (`syncPlaces`).
 */
export async function placeFiles(options: PlacingOptions): Promise<void> {
  const { directory } = options;
  const staging = join(directory, stateFolder, stagingFolder);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  try {
    await placeThrough(staging, options);
  } catch (error) {
    // Told now: half copies that are removed would make room on a full disk, and hide what it lacked.
    const failure = describeSystemError(error, [directory]);
    await rm(staging, { recursive: true, force: true });
    throw failure;
  }
}

async function placeThrough(staging: string, options: PlacingOptions): Promise<void> {
  const { directory, files, sourceOf, placing } = options;
  const copies: string[] = [];
  await forEachConcurrently(Map.groupBy(files, sourceOf), 8, async ([source, wanted]) => {
    for (const [at, file] of wanted.entries()) {
      const path = join(directory, file.path);
      await mkdir(dirname(path), { recursive: true });
      // Of bytes that are wanted under several names, all but the last are copied first.
      const how = placing === "move" && at < wanted.length - 1 ? "copy" : placing;
      await placeOne(source, path, { how, staging });
      if (how === "copy") copies.push(path);
    }
  });
  // What was moved or linked is on disk since it was committed; copies are not yet, and after power
  // loss the state of the folder is believed by size and time.
  await syncFiles(copies);
}

async function placeOne(
  source: string,
  path: string,
  { how, staging }: { readonly how: Placing; readonly staging: string },
): Promise<void> {
  const staged = how === "move" ? source : join(staging, randomBytes(8).toString("hex"));
  if (how === "link") await linkOrCopy(source, staged);
  else {
    if (how === "copy") await copyFile(source, staged, constants.COPYFILE_FICLONE);
    await chmod(staged, 0o644);
  }
  await rename(staged, path);
  // Renaming a link onto another one of the same inode does nothing.
  if (how === "link") await rm(staged, { force: true });
}
