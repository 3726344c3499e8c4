import { closeSync, constants, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { join, normalize, relative } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { ModelError, systemCode } from "../core/errors.ts";
import { type MountNamespace, ownNamespace } from "./mount-namespace.ts";
import { type OpenFolder, pathOnly } from "./system-calls.ts";

/** A folder that stays the same one while it is open, whatever is renamed or mounted over its path. */
export interface HeldFolder extends OpenFolder, AsyncDisposable {}

const noLink = pathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Opens a folder by its path in a namespace, through links. Undefined when it is missing. */
export async function openFolder(
  path: string,
  namespace: MountNamespace = ownNamespace,
): Promise<HeldFolder | undefined> {
  try {
    // Another thread would be in another namespace.
    const fd = namespace.within(() => openSync(path, pathOnly | constants.O_DIRECTORY));
    return { fd, path, [Symbol.asyncDispose]: async () => closeSync(fd) };
  } catch (error) {
    return undefinedIfMissing(error);
  }
}

/**
 * Opens the folder at `path`, which lies below `root`, one name at a time and through no link, so that
 * nobody who may write on the way can lead it elsewhere. Undefined when a folder is missing. Rejects
 * with INVALID_ARGUMENT when a link or a file is in the way or `path` is not below `root`.
 */
export async function openFolderBelow(
  root: string,
  path: string,
  namespace: MountNamespace = ownNamespace,
): Promise<HeldFolder | undefined> {
  const names = namesBelow(root, path);
  let folder = await openFolder(root, namespace);
  for (const name of names) {
    if (folder === undefined) return undefined;
    await using above: HeldFolder = folder;
    folder = await openChild(above, name);
  }
  return folder;
}

/** Opens a folder in an open one, through no link. Undefined when it is missing; rejects like above. */
export async function openChild(above: OpenFolder, name: string): Promise<HeldFolder | undefined> {
  const path = join(above.path, name);
  try {
    const file = await open(pathIn(above, name), noLink);
    return { fd: file.fd, path, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return undefined;
    if (code !== "ENOTDIR" && code !== "ELOOP") throw error;
    throw new ModelError("INVALID_ARGUMENT", `${path} is a link or a file, not a folder`, {
      cause: error,
    });
  }
}

/** A path to `name` in an open folder, for calls that take paths; good while the folder is open. */
export function pathIn(folder: OpenFolder, name: string): string {
  return `/proc/self/fd/${folder.fd}/${name}`;
}

/** Tells whether `path` is absolute, spelled in the one plain way, and below `root`. */
export function isBelow(root: string, path: string): boolean {
  if (path !== normalize(path) || path.endsWith("/") || path.includes("\0")) return false;
  return path.startsWith(root.endsWith("/") ? root : `${root}/`);
}

function namesBelow(root: string, path: string): readonly string[] {
  if (path === root) return [];
  if (isBelow(root, path)) return relative(root, path).split("/");
  throw new ModelError("INVALID_ARGUMENT", `${path} is not below ${root}`);
}
