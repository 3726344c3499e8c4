import { stat } from "node:fs/promises";
import type { IndexedFile } from "../core/chunk-index.ts";
import type { Abortable } from "../core/progress.ts";
import type { DiskThreads } from "../transfer/disk-threads.ts";
import { chunkOffsets } from "../transfer/incoming-file.ts";

/** Bytes of a file that are not what the index says. */
export interface WrongRange {
  readonly offset: number;
  readonly size: number;
}

/** Chunks hashed per question to a disk thread. */
const batchChunks = 8;

/**
 * Reads a whole file and compares it with its chunk list; none wrong means every byte is right. A
 * file of another length is wrong as a whole, unread.
 */
export async function findWrongRanges(
  disk: DiskThreads,
  path: string,
  file: IndexedFile,
  options: Abortable & { readonly onChecked?: ((bytes: number) => void) | undefined } = {},
): Promise<WrongRange[]> {
  if ((await stat(path)).size !== file.size) return [{ offset: 0, size: file.size }];
  const offsets = chunkOffsets(file);
  const slices = file.chunks.map(({ digest, size }, at) => {
    const offset = offsets[at] ?? 0;
    return { path, offset, size, digest };
  });
  const wrong: WrongRange[] = [];
  for (let at = 0; at < slices.length; at += batchChunks) {
    options.signal?.throwIfAborted();
    const batch = slices.slice(at, at + batchChunks);
    const digests = await disk.hash(batch);
    for (const [number, { digest, offset, size }] of batch.entries()) {
      if (digests[number] !== digest) wrong.push({ offset, size });
      options.onChecked?.(size);
    }
  }
  return wrong;
}
