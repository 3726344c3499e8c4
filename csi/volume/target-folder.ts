import { lstat, mkdir, rmdir, unlink } from "node:fs/promises";
import { undefinedIfMissing } from "../../src/core/absence.ts";
import { ModelError, systemCode } from "../../src/core/errors.ts";
import { lookAt, type MountPoint, unmountAll } from "../../src/mount/mount-point.ts";
import { openChild, openFolderBelow, pathIn } from "../../src/mount/open-folder.ts";
import { mountReadOnly } from "../../src/mount/read-only-mount.ts";
import type { OpenFolder } from "../../src/mount/system-calls.ts";
import type { TargetPath } from "../request/target-path.ts";

/** What is at a target. Undefined when it is missing; rejects with INVALID_ARGUMENT for a link or a file. */
export async function lookAtTarget(
  target: TargetPath,
  kubeletRoot: string,
): Promise<MountPoint | undefined> {
  await using folder = await openFolderBelow(kubeletRoot, target.folder);
  return folder === undefined ? undefined : await lookAt(folder, target.name);
}

export interface ShowOptions {
  readonly kubeletRoot: string;
  readonly scratch: string;
}

/** Makes the target where it is missing and mounts `tree` there. Rejects with MOUNT_FAILED. */
export async function showTree(
  tree: OpenFolder,
  target: TargetPath,
  { kubeletRoot, scratch }: ShowOptions,
): Promise<void> {
  await using folder = await openFolderBelow(kubeletRoot, target.folder);
  if (folder === undefined)
    throw new ModelError("MOUNT_FAILED", `there is no folder ${target.folder}`, {
      hint: "the kubelet makes it before it asks for the volume",
    });
  await makeOnce(pathIn(folder, target.name));
  await using place = await openChild(folder, target.name);
  if (place === undefined)
    throw new ModelError("MOUNT_FAILED", `${target.path} was removed while it was being mounted`);
  mountReadOnly(tree, place, { scratch });
}

/**
 * Unmounts whatever is mounted at a target and removes its folder. Resolves to the number of mounts;
 * idempotent. Nothing that has content is removed: then it rejects with STORE_IO.
 */
export async function clearTarget(target: TargetPath, kubeletRoot: string): Promise<number> {
  await using folder = await openFolderBelow(kubeletRoot, target.folder);
  if (folder === undefined) return 0;
  const place = pathIn(folder, target.name);
  const found = await lstat(place).catch(undefinedIfMissing);
  if (found === undefined) return 0;
  if (!found.isDirectory()) {
    if (found.isFile() && found.size > 0) throw notEmpty(target, "a file");
    await unlink(place);
    return 0;
  }
  const mounts = await unmountAll(folder, target.name);
  try {
    await rmdir(place);
  } catch (error) {
    if (systemCode(error) === "ENOTEMPTY") throw notEmpty(target, "files");
    undefinedIfMissing(error);
  }
  return mounts;
}

async function makeOnce(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

function notEmpty(target: TargetPath, what: string): ModelError {
  return new ModelError("STORE_IO", `${what} that are no part of a model lie at ${target.path}`, {
    hint: "move them away: the volume is unmounted, and its folder is removed at the next call",
  });
}
