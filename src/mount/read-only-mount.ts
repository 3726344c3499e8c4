import { closeSync } from "node:fs";
import { mountByMoving } from "./private-mount.ts";
import {
  attachMount,
  cloneMount,
  isCallMissing,
  type OpenFolder,
  protectMount,
} from "./system-calls.ts";

export interface MountOptions {
  /** A folder of the caller's own, for kernels before 5.12; made when it is needed. */
  readonly scratch: string;
}

/**
 * Shows `tree` at `target`, `ro,nosuid,nodev,noexec`, without a moment in which it can be written: the
 * mount is made apart, protected, and attached as it is to be. Rejects with MOUNT_FAILED, which leaves
 * nothing at the target.
 */
export function mountReadOnly(tree: OpenFolder, target: OpenFolder, options: MountOptions): void {
  try {
    const mount = cloneMount(tree);
    try {
      protectMount(mount, tree.path);
      attachMount(mount, target);
    } finally {
      closeSync(mount);
    }
  } catch (error) {
    if (!isCallMissing(error)) throw error;
    mountByMoving(tree, target, options.scratch);
  }
}
