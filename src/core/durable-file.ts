import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
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

/** Replaces `path` as a whole: temp file, fsync, rename, fsync of the folder. Idempotent. */
export async function writeFileDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    {
      await using file = await open(temporary, "wx");
      await file.writeFile(bytes);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}
