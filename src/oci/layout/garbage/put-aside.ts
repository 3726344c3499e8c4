import { rename, rm, stat } from "node:fs/promises";
import { undefinedIfMissing } from "../../../core/absence.ts";
import { isFullDisk, onDisk } from "../../../core/system-error.ts";
import type { UploadFolder } from "../upload-folder.ts";

/** A blob's file without a name in its layout: gone for everybody, but for a moment not for good. */
export interface AsideFile {
  /** Names that it had; with one its bytes are freed. */
  readonly links: number;
  /** Frees it. */
  remove(): Promise<void>;
  /** Gives it its name again. */
  restore(): Promise<void>;
}

/**
 * Takes a blob's file out of its layout unless somebody claimed it (blob-age.ts) after `before`, in
 * milliseconds of the epoch, however late: undefined then, and when it is not there. On a full disk
 * there may be no place to put it; it is removed at once then.
 */
export async function putAside(
  path: string,
  uploads: UploadFolder,
  before: number,
): Promise<AsideFile | undefined> {
  const isOld = async (at: string) => {
    const found = await stat(at).catch(undefinedIfMissing);
    return found !== undefined && found.mtimeMs <= before ? found : undefined;
  };
  return onDisk(`removal of ${path}`, async () => {
    if ((await isOld(path)) === undefined) return undefined;
    const aside = uploads.newPath();
    if (!(await move(path, aside, uploads))) {
      const found = await isOld(path);
      if (found === undefined) return undefined;
      await rm(path, { force: true });
      const nothing = () => Promise.resolve();
      return { links: found.nlink, remove: nothing, restore: nothing };
    }
    const found = await isOld(aside);
    const restore = () => rename(aside, path);
    if (found !== undefined)
      return { links: found.nlink, remove: () => rm(aside, { force: true }), restore };
    await restore();
    return undefined;
  });
}

/** False when the disk is full. Somebody else may remove the empty folder in between. */
async function move(path: string, aside: string, uploads: UploadFolder): Promise<boolean> {
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    try {
      await uploads.make();
      await rename(path, aside);
      return true;
    } catch (error) {
      if (isFullDisk(error)) return false;
      undefinedIfMissing(error);
    }
  }
  return false;
}
