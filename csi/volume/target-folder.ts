import { rmdirSync, unlinkSync } from "node:fs";
import { lstat, mkdir } from "node:fs/promises";
import { undefinedIfMissing } from "../../src/core/absence.ts";
import { ModelError, systemCode } from "../../src/core/errors.ts";
import { lookAt, type MountPoint, unmountAll } from "../../src/mount/mount-point.ts";
import { openChild, openFolderBelow, pathIn } from "../../src/mount/open-folder.ts";
import { mountReadOnly } from "../../src/mount/read-only-mount.ts";
import type { OpenFolder } from "../../src/mount/system-calls.ts";
import type { TargetPath, TargetSpace } from "../request/target-path.ts";

/** What is at a target. Undefined when it is missing; rejects with INVALID_ARGUMENT for a link or a file. */
export async function lookAtTarget(
  target: TargetPath,
  space: TargetSpace,
): Promise<MountPoint | undefined> {
  await using folder = await openAbove(target, space);
  return folder === undefined ? undefined : await lookAt(folder, target.name);
}

export interface ShowOptions extends TargetSpace {
  /** As of `mountReadOnly`. */
  readonly scratch: string;
}

/** Makes the target where it is missing and mounts `tree` there. Rejects with MOUNT_FAILED. */
export async function showTree(
  tree: OpenFolder,
  target: TargetPath,
  options: ShowOptions,
): Promise<void> {
  await using folder = await openAbove(target, options);
  if (folder === undefined)
    throw new ModelError("MOUNT_FAILED", `there is no folder ${target.folder}`, {
      hint: "the kubelet makes it before it asks for the volume",
    });
  await makeOnce(pathIn(folder, target.name));
  await using place = await openChild(folder, target.name);
  if (place === undefined)
    throw new ModelError("MOUNT_FAILED", `${target.path} was removed while it was being mounted`);
  mountReadOnly(tree, place, options);
}

/**
 * Unmounts whatever is mounted at a target and removes its folder. Resolves to the number of mounts;
 * idempotent. Nothing that has content is removed: then it rejects with STORE_IO. Nor is what somebody
 * mounts there meanwhile, which the kernel refuses only to who is in the namespace of that mount.
 */
export async function clearTarget(target: TargetPath, space: TargetSpace): Promise<number> {
  const { namespace } = space;
  await using folder = await openAbove(target, space);
  if (folder === undefined) return 0;
  const place = pathIn(folder, target.name);
  const found = await lstat(place).catch(undefinedIfMissing);
  if (found === undefined) return 0;
  if (!found.isDirectory()) {
    if (found.isFile() && found.size > 0) throw notEmpty(target, "a file");
    namespace.within(() => unlinkSync(place));
    return 0;
  }
  const mounts = await unmountAll(folder, target.name, namespace);
  try {
    namespace.within(() => rmdirSync(place));
  } catch (error) {
    if (systemCode(error) === "ENOTEMPTY") throw notEmpty(target, "files");
    undefinedIfMissing(error);
  }
  return mounts;
}

/** The folder that the target is in. Undefined when it is missing. */
function openAbove({ folder }: TargetPath, { kubeletRoot, namespace }: TargetSpace) {
  return openFolderBelow(kubeletRoot, folder, namespace);
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
