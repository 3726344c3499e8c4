import { randomUUID } from "node:crypto";
import { mkdirSync, rmdirSync } from "node:fs";
import { readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { unmountAll } from "./mount-point.ts";
import { openFolder } from "./open-folder.ts";
import {
  mountClassic,
  mountFlags,
  type OpenFolder,
  unmountFlags,
  unmountPath,
} from "./system-calls.ts";

/**
 * Does what `mountReadOnly` does with calls that every kernel has: bind, then remount read-only, in a
 * place that no other process is shown, then move. `scratch` is made when it is missing and left empty.
 */
export function mountByMoving(tree: OpenFolder, target: OpenFolder, scratch: string): void {
  const { bind, remount, readOnly, noSuid, noDev, noExec, move } = mountFlags;
  using place = openPrivatePlace(scratch);
  const passing = join(place.path, "mount");
  mkdirSync(passing);
  mountClassic(pathOf(tree), passing, bind, passing);
  const flags = bind | remount | readOnly | noSuid | noDev | noExec;
  mountClassic("none", passing, flags, passing);
  mountClassic("none", passing, mountFlags.private, passing);
  mountClassic(passing, pathOf(target), move, target.path);
}

/** Takes away what a process left in `scratch` that was killed in `mountByMoving`. Idempotent. */
export async function clearScratch(scratch: string): Promise<void> {
  await using folder = await openFolder(scratch);
  if (folder === undefined) return;
  for (const name of await readdir(scratch)) {
    await unmountAll(folder, name);
    // One by one, so that nothing is removed that may still be shown somewhere.
    await rmdir(join(scratch, name, "mount")).catch(undefinedIfMissing);
    await rmdir(join(scratch, name)).catch(undefinedIfMissing);
  }
}

interface PrivatePlace extends Disposable {
  readonly path: string;
}

/** A mount of its own, for the kernel moves none out of one that is shared. What is in it goes with it. */
function openPrivatePlace(scratch: string): PrivatePlace {
  const path = join(scratch, randomUUID());
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const inside = join(path, "mount");
  const close = () => {
    unmountPath(path, unmountFlags.detach | unmountFlags.noFollow, path);
    rmdirSync(inside);
    rmdirSync(path);
  };
  try {
    mountClassic(path, path, mountFlags.bind, path);
  } catch (error) {
    rmdirSync(path);
    throw error;
  }
  mountClassic("none", path, mountFlags.private, path);
  return { path, [Symbol.dispose]: close };
}

/** The open folder itself, for calls that take paths. */
function pathOf(folder: OpenFolder): string {
  return `/proc/self/fd/${folder.fd}`;
}
