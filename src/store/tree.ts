import { randomBytes } from "node:crypto";
import {
  chmod,
  constants,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  rename,
  stat,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { syncDirectory } from "../core/durable-file.ts";
import { ModelError, systemCode } from "../core/errors.ts";
import { makeFolder } from "../core/make-folder.ts";
import { describeSystemError, isFullDisk } from "../core/system-error.ts";
import { syncFiles } from "./filesystem-sync.ts";
import type { StorePaths } from "./store-paths.ts";
import { discard } from "./trash.ts";
import { wholeFiles } from "./whole-files.ts";

/** Tells whether the tree of a selection is complete: it appears only when it is. */
export async function hasTree(
  paths: StorePaths,
  treeId: string,
  selection: string,
): Promise<boolean> {
  const found = await stat(paths.tree(treeId, selection)).catch(undefinedIfMissing);
  return found?.isDirectory() === true;
}

/** Selections of a tree that are complete. */
export async function listSelections(paths: StorePaths, treeId: string): Promise<string[]> {
  const names = (await readdir(join(paths.trees, treeId)).catch(undefinedIfMissing)) ?? [];
  const complete = await Promise.all(names.map((name) => hasTree(paths, treeId, name)));
  return names.filter((_, at) => complete[at]);
}

/**
 * Makes the tree of a selection from committed files and returns its path. It is built in the trash,
 * so that a kill leaves nothing, and appears by one rename. Idempotent, also when two build it at
 * once.
 */
export async function buildTree(
  paths: StorePaths,
  options: { treeId: string; selection: string; files: readonly IndexedFile[] },
): Promise<string> {
  const { treeId, selection, files } = options;
  const final = paths.tree(treeId, selection);
  if (await hasTree(paths, treeId, selection)) return final;
  const building = join(paths.trash, `building-${randomBytes(8).toString("hex")}`);
  try {
    await fillTree(paths, join(building, "tree"), files);
    await mkdir(dirname(dirname(final)), { recursive: true });
    // The folder around it moves: a read-only folder may not change its parent.
    await rename(building, dirname(final));
  } catch (error) {
    // Told now: what is discarded would make room on a full disk, and so hide what it lacked.
    const failure = isFullDisk(error) ? describeSystemError(error, [paths.root]) : error;
    await discard(paths, building);
    if (systemCode(error) !== "ENOTEMPTY" && systemCode(error) !== "EEXIST") throw failure;
  }
  await syncDirectory(dirname(dirname(final)));
  await refuseRotten(paths, dirname(final), files);
  return final;
}

/** Of a file that rotted its trees are removed first and last: this one may have come after that. */
async function refuseRotten(
  paths: StorePaths,
  selection: string,
  files: readonly IndexedFile[],
): Promise<void> {
  const ids = files.map((file) => ({ id: fileId(file) }));
  const whole = await wholeFiles(paths, ids);
  if (ids.every(({ id }) => whole.has(id))) return;
  await discard(paths, selection);
  throw new ModelError("STORE_IO", `a file of ${selection} rotted while its tree was built`, {
    hint: "pull the model again: what is missing is fetched",
  });
}

async function fillTree(
  paths: StorePaths,
  building: string,
  files: readonly IndexedFile[],
): Promise<void> {
  const folders = new Set<string>();
  for (const file of files)
    for (let path = dirname(file.path); path !== "." && !folders.has(path); path = dirname(path))
      folders.add(path);
  const shallowFirst = [...folders].sort((a, b) => a.length - b.length);
  const inside = shallowFirst.map((folder) => join(building, folder));
  for (const folder of [building, ...inside]) await makeFolder(folder);
  await forEachConcurrently(files, 16, (file) =>
    linkOrCopy(paths.file(fileId(file)), join(building, file.path)),
  );
  for (const folder of [building, ...inside].toReversed()) await chmod(folder, 0o555);
  await syncFiles([dirname(building), building, ...inside]);
}

/** A hard link; where an inode has no more links to give (EMLINK), a copy, on disk when it resolves. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (systemCode(error) !== "EMLINK") throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await using copy = await open(to, "r");
    await copy.chmod(0o444);
    await copy.sync();
  }
}
