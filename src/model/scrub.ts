import { pathExists } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import type { RunOptions } from "../core/progress.ts";
import { readIndex } from "../store/chunk-locations.ts";
import { listRecords } from "../store/model-record.ts";
import { quarantineFile } from "../store/quarantine.ts";
import { withReserve } from "../store/reserve.ts";
import type { Store } from "../store/store.ts";
import { startDiskThreads } from "../transfer/disk-threads.ts";
import { type CheckOptions, findWrongRanges } from "./file-check.ts";

/** What a scrub read and what it found wrong. */
export interface Scrub {
  readonly files: number;
  /** Bytes. */
  readonly bytes: number;
  readonly problems: readonly { readonly path: string; readonly problem: string }[];
}

/** Re-reads every whole file of a store against its chunk list; rotten ones go to quarantine. */
export async function scrub(
  store: Store,
  options: RunOptions & Pick<CheckOptions, "pace">,
): Promise<Scrub> {
  const { signal, onProgress, pace } = options;
  const files = await storedFiles(store);
  const bytes = [...files.values()].reduce((sum, file) => sum + file.size, 0);
  onProgress?.({ type: "start", activity: "verify", totalBytes: bytes, files: files.size });
  const problems: { path: string; problem: string }[] = [];
  await using disk = startDiskThreads(pace === undefined ? undefined : 1);
  await forEachConcurrently(files, pace === undefined ? 2 : 1, async ([id, file]) => {
    signal?.throwIfAborted();
    const path = store.paths.file(id);
    const { path: name, size: fileSize } = file;
    const onChecked = (count: number) =>
      onProgress?.({ type: "bytes", path: name, fileSize, bytes: count, how: "checked" });
    const check = findWrongRanges(disk, path, file, { signal, onChecked, pace });
    const wrong = await check.catch(async (error: unknown) => {
      if (await pathExists(path)) throw error;
      // Evicted meanwhile: a slow scrub outlives files.
      return [];
    });
    if (wrong.length === 0) return;
    const isUnreadable = wrong.some((range) => range.isUnreadable === true);
    const lost = wrong.reduce((sum, { size }) => sum + size, 0);
    const what = `${lost} bytes ${isUnreadable ? "cannot be read or " : ""}have rotted`;
    problems.push({ path: name, problem: `${what}; ${await setAside(store, id, isUnreadable)}` });
  });
  return { files: files.size, bytes, problems };
}

/** Takes a rotten file out of use, where that can be; returns what was done, in words. */
async function setAside(store: Store, id: string, isUnreadable: boolean): Promise<string> {
  if (store.isReadOnly) return "the store is read-only, so it stays in use";
  const name = isUnreadable ? `${id}.unreadable` : id;
  await withReserve(store.paths, () => quarantineFile(store, id, name));
  return `moved to quarantine/${name}`;
}

/** The whole files of all models, each once. */
async function storedFiles(store: Store): Promise<Map<string, IndexedFile>> {
  const files = new Map<string, IndexedFile>();
  for (const record of await listRecords(store.paths)) {
    const index = await readIndex(store.paths, record);
    for (const file of index?.files ?? []) {
      const id = fileId(file);
      if (!files.has(id) && (await pathExists(store.paths.file(id)))) files.set(id, file);
    }
  }
  return files;
}
