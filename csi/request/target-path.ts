import { lstat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { undefinedIfMissing } from "../../src/core/absence.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import type { MountNamespace } from "../../src/mount/mount-namespace.ts";
import { isBelow, openFolder, pathIn } from "../../src/mount/open-folder.ts";

/** Where targets are: below the kubelet's folder, as its mount namespace has it. */
export interface TargetSpace {
  readonly kubeletRoot: string;
  readonly namespace: MountNamespace;
}

/** Where a volume is to appear. */
export interface TargetPath {
  readonly path: string;
  /** The folder that the kubelet makes, and the name that the plugin makes in it. */
  readonly folder: string;
  readonly name: string;
  /** Of the pod whose folder it lies in, where it lies in one. */
  readonly podUid: string | undefined;
  /** Names the volume's lease at the agent, and its state here. */
  readonly leaseId: string;
}

/**
 * Parses a target path. Throws INVALID_ARGUMENT unless it is absolute, spelled in the one plain way and
 * below the kubelet's root.
 */
export function parseTargetPath(path: string, kubeletRoot: string): TargetPath {
  if (path === "") throw new ModelError("INVALID_ARGUMENT", "the call names no target path");
  if (Buffer.byteLength(path) > 4096 || !isBelow(kubeletRoot, path))
    throw new ModelError("INVALID_ARGUMENT", `the target path is not below ${kubeletRoot}`, {
      hint: "--kubelet-root must be the kubelet's --root-dir, spelled in the same way",
    });
  const inside = path.slice(join(kubeletRoot, "/").length);
  return {
    path,
    folder: dirname(path),
    name: basename(path),
    podUid: /^pods\/([^/]+)\/volumes\/kubernetes\.io~csi\/[^/]+\/[^/]+$/.exec(inside)?.[1],
    leaseId: digestHex(digestOf(path)),
  };
}

/** Tells whether who wanted the volume may still be there: the pod's folder, else the target's. */
export async function ownerExists(
  { podUid, folder }: TargetPath,
  { kubeletRoot, namespace }: TargetSpace,
): Promise<boolean> {
  await using root = await openFolder(kubeletRoot, namespace);
  if (root === undefined) return false;
  const place = podUid === undefined ? relative(kubeletRoot, folder) : join("pods", podUid);
  return (await lstat(pathIn(root, place)).catch(undefinedIfMissing)) !== undefined;
}
