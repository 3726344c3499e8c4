import { readFile, stat } from "node:fs/promises";
import { ModelError } from "../core/errors.ts";
import { type MountNamespace, ownNamespace } from "./mount-namespace.ts";
import { openChild, pathIn } from "./open-folder.ts";
import { type OpenFolder, unmountFlags, unmountPath } from "./system-calls.ts";

/** What one finds at a name in a folder. */
export interface MountPoint {
  /** The kernel's number of the mount that is seen there. */
  readonly mountId: number;
  /** It is another mount than the folder's. */
  readonly mounted: boolean;
  /** Device and inode of what is seen there, as text to compare. */
  readonly identity: string;
}

/** Mounts one over another at one place; more than anybody makes. */
const maxStacked = 1000;

/** Looks at a folder in an open one. Undefined when it is missing; rejects for a link or a file. */
export async function lookAt(above: OpenFolder, name: string): Promise<MountPoint | undefined> {
  await using folder = await openChild(above, name);
  if (folder === undefined) return undefined;
  const [outer, mountId] = await Promise.all([readMountId(above), readMountId(folder)]);
  return { mountId, mounted: mountId !== outer, identity: await identityOf(folder) };
}

/** Device and inode of an open folder. */
export async function identityOf(folder: OpenFolder): Promise<string> {
  const { dev, ino } = await stat(`/proc/self/fd/${folder.fd}`, { bigint: true });
  return `${dev}:${ino}`;
}

/**
 * Takes away every mount at a folder in an open one of that namespace; whoever has files open there goes
 * on reading them. Resolves to how many there were. Rejects with MOUNT_FAILED.
 */
export async function unmountAll(
  above: OpenFolder,
  name: string,
  namespace: MountNamespace = ownNamespace,
): Promise<number> {
  for (let count = 0; count <= maxStacked; count++) {
    const found = await lookAt(above, name);
    if (found === undefined || !found.mounted) return count;
    const flags = unmountFlags.detach | unmountFlags.noFollow;
    namespace.within(() => unmountPath(pathIn(above, name), flags, `${above.path}/${name}`));
  }
  throw new ModelError("MOUNT_FAILED", `mounts at ${above.path}/${name} never end`);
}

/** Two bind mounts of one filesystem differ in nothing that stat tells; this number tells them apart. */
async function readMountId(folder: OpenFolder): Promise<number> {
  const text = await readFile(`/proc/self/fdinfo/${folder.fd}`, "utf8");
  return Number(/^mnt_id:\s*(\d+)$/m.exec(text)?.[1]);
}
