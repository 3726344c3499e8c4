import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { ModelError, systemCode } from "../../core/errors.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { ownProcess, processFate } from "../../core/process-identity.ts";

/** Mode of every file in a layout, before the umask. */
const fileMode = 0o644;
/** How old a file must be whose writer nobody here can ask. */
const unknownWriterMs = 24 * 3600 * 1000;
const sessionPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The file of an upload that outlives the process that takes it. */
export interface SessionFile {
  readonly id: string;
  /** Bytes. */
  readonly size: number;
  /** When it was last written to. */
  readonly writtenAt: Date;
}

/**
 * `uploads/` of a layout: unfinished files, each named after the process that writes it; those of
 * upload sessions after the session.
 */
export interface UploadFolder {
  /** A path that no other file has. */
  newPath(): string;
  /** Makes the folder if it is not there. */
  make(): Promise<void>;
  /** Opens a path of `newPath` for writing; makes file and folder where missing. */
  open(path: string): Promise<FileHandle>;
  /** Opens a file that is there for writing behind its end. Rejects with NOT_FOUND. */
  reopen(path: string): Promise<FileHandle>;
  /** The path of a session's file; an id is a UUID. */
  sessionPath(id: string): string;
  /** The sessions that have a file. */
  sessions(): Promise<SessionFile[]>;
  /**
   * Removes what dead processes left; a session's file, and one of an unknown host or container,
   * after a day.
   */
  sweep(): Promise<void>;
  /** Removes the folder if it is empty and may be, so that a layout at rest holds nothing of ours. */
  removeIfEmpty(): Promise<void>;
}

export function createUploadFolder(layout: string): UploadFolder {
  const folder = join(layout, "uploads");
  return {
    newPath: () => join(folder, `${ownProcess()}.${randomBytes(8).toString("hex")}`),
    make: () => makeFolder(folder, 0o755),
    open: (path) => openUpload(folder, path),
    reopen: reopenUpload,
    sessionPath: (id) => join(folder, id),
    sessions: () => listSessions(folder),
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

async function reopenUpload(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_WRONLY | constants.O_APPEND).catch(undefinedIfMissing);
  if (file === undefined) throw new ModelError("NOT_FOUND", `${path} is gone`);
  return file;
}

async function listSessions(folder: string): Promise<SessionFile[]> {
  const names = (await readdir(folder).catch(undefinedIfMissing)) ?? [];
  const sessions: SessionFile[] = [];
  for (const id of names.filter(isSessionId)) {
    const found = await stat(join(folder, id)).catch(undefinedIfMissing);
    if (found?.isFile() === true) sessions.push({ id, size: found.size, writtenAt: found.mtime });
  }
  return sessions;
}

/** Tells whether `text` may be the id of an upload session. */
export function isSessionId(text: string): boolean {
  return sessionPattern.test(text);
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
