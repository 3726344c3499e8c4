import { closeSync } from "node:fs";
import { type MountNamespace, ownNamespace } from "./mount-namespace.ts";
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
  /** Where the target is; the tree is in the process's own. Another one takes Linux 5.12. Default: the same. */
  readonly namespace?: MountNamespace | undefined;
}

/**
 * Shows `tree` at `target`, `ro,nosuid,nodev,noexec`, without a moment in which it can be written: the
 * mount is made apart, protected, and attached as it is to be. Rejects with MOUNT_FAILED, which leaves
 * nothing at the target.
 */
export function mountReadOnly(tree: OpenFolder, target: OpenFolder, options: MountOptions): void {
  const { scratch, namespace = ownNamespace } = options;
  try {
    const mount = cloneMount(tree);
    try {
      protectMount(mount, tree.path);
      namespace.within(() => attachMount(mount, target));
    } finally {
      closeSync(mount);
    }
  } catch (error) {
    if (namespace !== ownNamespace || !isCallMissing(error)) throw error;
    mountByMoving(tree, target, scratch);
  }
}
