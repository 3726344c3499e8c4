import { rm, stat } from "node:fs/promises";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { smallFileBytes } from "../store/file-batch.ts";
import { type Ingest, ingestFolder, openIngest } from "../store/ingest.ts";
import type { Store } from "../store/store.ts";
import type { Origin } from "../store/store-paths.ts";
import type { DiskThreads } from "./disk-threads.ts";

/** A file on its way into the store: what is missing of it and where its bytes go. */
export interface IncomingFile {
  readonly id: string;
  readonly file: IndexedFile;
  /** The journalled write; small files have none, they are written in one go. */
  readonly ingest: Ingest | undefined;
  /** Numbers of the chunks that were to come when it was opened. */
  readonly missing: readonly number[];
}

/**
 * Opens the write of a file. What an earlier run left is used: verified chunks as they are, those
 * an untrusted journal names, and small files, after hashing them again.
 */
export async function openIncomingFile(
  store: Store,
  options: { origin: Origin; file: IndexedFile; disk: DiskThreads; begun: boolean },
): Promise<IncomingFile> {
  const { origin, file, disk, begun } = options;
  const id = fileId(file);
  if (file.size < smallFileBytes && file.chunks.length <= 1) {
    const path = ingestFolder(store.paths, origin, id);
    const whole = begun && (await isIntact(path, file, disk));
    if (begun && !whole) await rm(path, { recursive: true, force: true });
    return { id, file, ingest: undefined, missing: whole ? [] : [...file.chunks.keys()] };
  }
  const ingest = await openIngest({ paths: store.paths, origin, file, bootId: store.bootId });
  await checkHints(ingest, disk);
  const missing = [...file.chunks.keys()].filter((number) => !ingest.verified.has(number));
  return { id, file, ingest, missing };
}

/** Offset of each chunk in its file. */
export function chunkOffsets(file: IndexedFile): number[] {
  let offset = 0;
  return file.chunks.map((chunk) => {
    offset += chunk.size;
    return offset - chunk.size;
  });
}

async function isIntact(path: string, file: IndexedFile, disk: DiskThreads): Promise<boolean> {
  const { size, chunks } = file;
  const [chunk] = chunks;
  const found = await stat(path);
  if (chunk === undefined || !found.isFile() || found.size !== size) return false;
  const [digest] = await disk.hash([{ path, offset: 0, size }]);
  return digest === chunk.digest;
}

async function checkHints(ingest: Ingest, disk: DiskThreads): Promise<void> {
  const { chunks } = ingest.file;
  const offsets = chunkOffsets(ingest.file);
  for (const number of ingest.hints) {
    const [chunk, offset] = [chunks[number], offsets[number]];
    if (chunk === undefined || offset === undefined) continue;
    const [digest] = await disk.hash([{ path: ingest.path, offset, size: chunk.size }]);
    if (digest === chunk.digest) await ingest.record([number]);
  }
}
