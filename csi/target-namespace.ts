import { closeSync } from "node:fs";
import { ModelError } from "../src/core/errors.ts";
import { openFolder } from "../src/mount/open-folder.ts";
import { type HeldNamespace, openMountNamespace } from "../src/mount/other-namespace.ts";
import { cloneMount, isCallMissing, protectMount } from "../src/mount/system-calls.ts";

/**
 * Opens the mount namespace in which targets are, and tries what mounting there takes, as far as that
 * leaves no trace. Rejects with MOUNT_FAILED, which says what is missing.
 */
export async function openTargetNamespace(
  path: string,
  { kubeletRoot, stateFolder }: { readonly kubeletRoot: string; readonly stateFolder: string },
): Promise<HeldNamespace> {
  using owned = new DisposableStack();
  const namespace = owned.use(openMountNamespace(path));
  await using there = await openFolder(kubeletRoot, namespace);
  if (there === undefined)
    throw new ModelError("MOUNT_FAILED", `the mount namespace ${path} has no ${kubeletRoot}`, {
      hint: "--kubelet-root must be the kubelet's --root-dir, as that namespace has it",
    });
  await tryCalls(stateFolder);
  owned.move();
  return namespace;
}

/** A mount that is attached nowhere and goes again. */
async function tryCalls(folder: string): Promise<void> {
  await using some = await openFolder(folder);
  if (some === undefined) throw new ModelError("STORE_IO", `there is no ${folder}`);
  try {
    const mount = cloneMount(some);
    try {
      protectMount(mount, some.path);
    } finally {
      closeSync(mount);
    }
  } catch (error) {
    if (!isCallMissing(error)) throw error;
    const message =
      "mounting in another namespace takes Linux 5.12 and a seccomp profile that allows";
    throw new ModelError("MOUNT_FAILED", `${message} open_tree, mount_setattr and move_mount`, {
      cause: error,
    });
  }
}
