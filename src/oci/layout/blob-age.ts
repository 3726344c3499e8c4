import { utimes } from "node:fs/promises";
import { undefinedIfMissing } from "../../core/absence.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { systemCode } from "../../core/errors.ts";
import { onDisk } from "../../core/system-error.ts";
import type { BlobFolder } from "./blob-folder.ts";

/**
 * Makes a blob young again, for somebody who is told that it is there and will name it: a collector
 * leaves young ones alone. Undefined when it is not there; else its size. Where the layout may not
 * be changed nothing is collected either.
 */
export async function claimBlob(
  blobs: BlobFolder,
  digest: ContentDigest,
): Promise<number | undefined> {
  const now = new Date();
  const touch = () => utimes(blobs.path(digest), now, now).catch(refusedOrMissing);
  await onDisk(`claim of ${digest} in ${blobs.directory}`, touch);
  // In this order: what a collector took before is not there, and what is there it finds young.
  return blobs.stat(digest);
}

/** Hard-links a blob and claims it; false when that is not possible. */
export async function linkClaimed(
  blobs: BlobFolder,
  digest: ContentDigest,
  from: BlobFolder,
): Promise<boolean> {
  return (await blobs.link(digest, from)) && (await claimBlob(blobs, digest)) !== undefined;
}

function refusedOrMissing(error: unknown): void {
  if (["EROFS", "EACCES", "EPERM"].includes(systemCode(error) ?? "")) return;
  undefinedIfMissing(error);
}
