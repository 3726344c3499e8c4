import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCode } from "./errors.ts";

/** A name beside `path` that no other writer uses. */
export function temporaryName(path: string): string {
  return `${path}.tmp-${randomBytes(6).toString("hex")}`;
}

/**
 * Flushes a folder's entries to disk, so that a rename in it survives power loss. Filesystems that
 * cannot are left as they are.
 */
export async function syncDirectory(path: string): Promise<void> {
  await using folder = await open(path, "r");
  try {
    await folder.sync();
  } catch (error) {
    if (!["EINVAL", "ENOTSUP"].includes(systemCode(error) ?? "")) throw error;
  }
}

/** Replaces `path` as a whole, by a rename; a loss of power may leave anything of it. Idempotent. */
export async function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
  await replace(path, (file) => file.writeFile(bytes), 0o666);
}

/**
 * Replaces `path` as a whole: temp file, fsync, rename, fsync of the folder. Idempotent. `mode` is the
 * new file's, less the process's umask.
 */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array | string,
  mode = 0o666,
): Promise<void> {
  const write = async (file: FileHandle) => {
    await file.writeFile(bytes);
    await file.sync();
  };
  await replace(path, write, mode);
  await syncDirectory(dirname(path));
}

async function replace(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  mode: number,
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    {
      await using file = await open(temporary, "wx", mode);
      await write(file);
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
