import { type FileHandle, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { type ContentDigest, digestAlgorithm, digestHex } from "../../core/digest.ts";
import { syncDirectory } from "../../core/durable-file.ts";
import { ModelError, systemCode } from "../../core/errors.ts";
import { onDisk } from "../../core/system-error.ts";
import type { ByteRange } from "../repository.ts";

const pieceBytes = 1_048_576;

/** A blob opened for reading at any position; it stays readable even if it is deleted meanwhile. */
export interface OpenedBlob extends AsyncDisposable {
  readonly file: FileHandle;
  /** Bytes. */
  readonly size: number;
}

/**
 * `blobs/` of a layout: a folder for each digest algorithm, that of sha512 once it is needed. What is
 * in them is complete; it is written through a BlobIngest.
 */
export interface BlobFolder {
  /** `blobs/sha256/`, which every layout has. */
  readonly directory: string;
  path(digest: ContentDigest): string;
  /** Size in bytes; undefined when it is not there. */
  stat(digest: ContentDigest): Promise<number | undefined>;
  /** Undefined when it is not there. */
  open(digest: ContentDigest): Promise<OpenedBlob | undefined>;
  /**
   * Hard-links a blob from another folder, durably; false when that is not possible (not there,
   * another filesystem, too many links). Idempotent.
   */
  link(digest: ContentDigest, from: BlobFolder): Promise<boolean>;
  /** Renames a complete, synced file of the same filesystem to its place, durably. */
  admit(path: string, digest: ContentDigest): Promise<void>;
  remove(digest: ContentDigest): Promise<void>;
  /** Makes a blob that was renamed into its place survive power loss, whoever did it. */
  sync(digest: ContentDigest): Promise<void>;
}

export function createBlobFolder(layout: string): BlobFolder {
  const all = join(layout, "blobs");
  const directory = join(all, "sha256");
  const path = (digest: ContentDigest) => join(all, digestAlgorithm(digest), digestHex(digest));
  const sync = (digest: ContentDigest) =>
    onDisk(`sync of ${all}`, () => syncDirectory(dirname(path(digest))));
  return {
    directory,
    path,
    stat: (digest) =>
      onDisk(`look-up of ${digest} in ${all}`, async () => {
        const found = await stat(path(digest)).catch(undefinedIfMissing);
        return found?.isFile() === true ? found.size : undefined;
      }),
    open: (digest) => onDisk(`read of ${path(digest)}`, () => openBlob(path(digest))),
    link: async (digest, from) => {
      const place = path(digest);
      const linked = await onDisk(`link of ${digest} into ${all}`, async () => {
        await prepare(place);
        return linkBlob(from.path(digest), place);
      });
      if (linked) await sync(digest);
      return linked;
    },
    admit: async (file, digest) => {
      const place = path(digest);
      await prepare(place);
      await rename(file, place);
      await sync(digest);
    },
    remove: (digest) =>
      onDisk(`removal of ${path(digest)}`, () => rm(path(digest), { force: true })),
    sync,
  };
}

/** Makes the folder of an algorithm that not every layout has; `sha256` is made with the layout. */
async function prepare(place: string): Promise<void> {
  const folder = dirname(place);
  if (folder.endsWith("sha256")) return;
  try {
    await mkdir(folder, 0o755);
    await syncDirectory(dirname(folder));
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

/**
 * Reads a range of an opened blob (all of it without one); the pieces share a buffer. Rejects with
 * REGISTRY_PROTOCOL when the range is not inside the blob, STORE_IO when the file ends meanwhile.
 */
export async function* readPieces(
  blob: OpenedBlob,
  what: string,
  range: ByteRange | undefined,
): AsyncGenerator<Uint8Array> {
  const { offset, length } = range ?? { offset: 0, length: blob.size };
  if (!isCount(offset) || !isCount(length))
    throw new ModelError("INVALID_ARGUMENT", `${what}: the range is not made of whole bytes`);
  if (offset + length > blob.size)
    throw new ModelError(
      "REGISTRY_PROTOCOL",
      `${what} has ${blob.size} bytes; there are no ${length} at ${offset}`,
      { hint: "the blob is cut short: push the model again" },
    );
  const buffer = Buffer.allocUnsafeSlow(Math.min(length, pieceBytes));
  for (let done = 0; done < length; ) {
    const wanted = Math.min(buffer.byteLength, length - done);
    const { bytesRead } = await onDisk(`read of ${what}`, () =>
      blob.file.read(buffer, 0, wanted, offset + done),
    );
    if (bytesRead === 0) throw new ModelError("STORE_IO", `${what} ends at ${offset + done}`);
    done += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openBlob(path: string): Promise<OpenedBlob | undefined> {
  const file = await open(path, "r").catch(undefinedIfMissing);
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    if (found.isFile())
      return { file, size: found.size, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

async function linkBlob(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error) ?? "";
    if (code === "EEXIST") return true;
    if (["ENOENT", "EXDEV", "EMLINK", "EPERM", "ENOTSUP", "EACCES"].includes(code)) return false;
    throw error;
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
