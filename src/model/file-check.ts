import { open, stat } from "node:fs/promises";
import type { IndexedFile } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { isModelError, systemCode } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import type { DiskThreads } from "../transfer/disk-threads.ts";
import type { SourceSlice } from "../transfer/disk-worker.ts";
import { chunkOffsets } from "../transfer/incoming-file.ts";

/** Bytes of a file that are not what the index says. */
export interface WrongRange {
  readonly offset: number;
  readonly size: number;
  /** The disk gives none of them any more. */
  readonly isUnreadable?: boolean | undefined;
}

/** How the system says that a disk has lost bytes, or that their checksum is wrong. */
const lostCodes: readonly (string | undefined)[] = ["EIO", "EUCLEAN", "EBADMSG"];

/** Chunks hashed per question to a disk thread. */
const batchChunks = 8;

export interface CheckOptions extends Abortable {
  readonly onChecked?: ((bytes: number) => void) | undefined;
  /** Waited for before that many bytes are read: a check that must not disturb is slowed by it. */
  readonly pace?: ((bytes: number) => Promise<void>) | undefined;
}

/**
 * Reads a whole file and compares it with its chunk list; none wrong means every byte is right. A
 * file of another length is wrong as a whole, unread; what the disk cannot read is wrong too.
 */
export async function findWrongRanges(
  disk: DiskThreads,
  path: string,
  file: IndexedFile,
  options: CheckOptions = {},
): Promise<WrongRange[]> {
  if ((await stat(path)).size !== file.size) return [{ offset: 0, size: file.size }];
  const offsets = chunkOffsets(file);
  const slices = file.chunks.map(({ digest, size }, at) => {
    const offset = offsets[at] ?? 0;
    return { path, offset, size, digest };
  });
  const wrong: WrongRange[] = [];
  const step = options.pace === undefined ? batchChunks : 1;
  for (let at = 0; at < slices.length; at += step) {
    const batch = slices.slice(at, at + step);
    await options.pace?.(batch.reduce((sum, { size }) => sum + size, 0));
    options.signal?.throwIfAborted();
    const digests = await hashReadable(disk, batch);
    for (const [number, { digest, offset, size }] of batch.entries()) {
      const actual = digests[number];
      if (actual !== digest) wrong.push({ offset, size, isUnreadable: actual === undefined });
      options.onChecked?.(size);
    }
  }
  return wrong;
}

/** The digest of each slice; undefined where the disk has lost the bytes. */
async function hashReadable(
  disk: DiskThreads,
  slices: readonly SourceSlice[],
): Promise<readonly (Digest | undefined)[]> {
  try {
    return await disk.hash(slices);
  } catch (error) {
    const [first] = slices;
    if (!isModelError(error, "STORE_IO") || first === undefined) throw error;
    if (slices.length === 1) {
      if (await isLost(first)) return [undefined];
      throw error;
    }
    const digests: (Digest | undefined)[] = [];
    for (const slice of slices) digests.push(...(await hashReadable(disk, [slice])));
    return digests;
  }
}

/** Reads again to learn why: what a thread failed with has no system code any more. */
async function isLost({ path, offset, size }: SourceSlice): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(Math.min(size, 1_048_576));
  try {
    await using file = await open(path);
    for (let done = 0; done < size; ) {
      const length = Math.min(buffer.byteLength, size - done);
      const { bytesRead } = await file.read(buffer, 0, length, offset + done);
      if (bytesRead === 0) return false;
      done += bytesRead;
    }
    return false;
  } catch (error) {
    return lostCodes.includes(systemCode(error));
  }
}
