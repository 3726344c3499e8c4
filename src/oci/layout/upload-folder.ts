import { randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { systemCode } from "../../core/errors.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { ownProcess, processFate } from "../../core/process-identity.ts";

/** Mode of every file in a layout, before the umask. */
const fileMode = 0o644;
/** How old a file must be whose writer nobody here can ask. */
const unknownWriterMs = 24 * 3600 * 1000;

/** `uploads/` of a layout: unfinished files, each named after the process that writes it. */
export interface UploadFolder {
  /** A path that no other file has. */
  newPath(): string;
  /** Opens a path of `newPath` for writing; makes file and folder where missing. */
  open(path: string): Promise<FileHandle>;
  /** Removes what dead processes left; a file of an unknown host or container after a day. */
  sweep(): Promise<void>;
  /** Removes the folder if it is empty and may be, so that a layout at rest holds nothing of ours. */
  removeIfEmpty(): Promise<void>;
}

export function createUploadFolder(layout: string): UploadFolder {
  const folder = join(layout, "uploads");
  return {
    newPath: () => join(folder, `${ownProcess()}.${randomBytes(8).toString("hex")}`),
    open: (path) => openUpload(folder, path),
    sweep: () => sweep(folder),
    removeIfEmpty: () => removeIfEmpty(folder),
  };
}

/** Another process may remove the empty folder between our two steps, so both are tried again. */
async function openUpload(folder: string, path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    await makeFolder(folder, 0o755);
    try {
      return await open(path, "a", fileMode);
    } catch (error) {
      if (systemCode(error) !== "ENOENT" || attempt === 10) throw error;
    }
  }
}

async function sweep(folder: string): Promise<void> {
  const names = (await readdir(folder).catch(undefinedIfMissing)) ?? [];
  for (const name of names) {
    const path = join(folder, name);
    if (await isAbandoned(path, name)) await rm(path, { force: true });
  }
}

async function isAbandoned(path: string, name: string): Promise<boolean> {
  const fate = processFate(name.slice(0, name.lastIndexOf(".")));
  if (fate !== "unknown") return fate === "gone";
  const found = await stat(path).catch(undefinedIfMissing);
  return found?.isFile() === true && Date.now() - found.mtimeMs > unknownWriterMs;
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    // Whoever only reads a layout may have no right to change it.
    const harmless = ["ENOENT", "ENOTEMPTY", "EEXIST", "EROFS", "EACCES", "EPERM"];
    if (!harmless.includes(systemCode(error) ?? "")) throw error;
  }
}
