import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { forEachConcurrently } from "../core/concurrently.ts";
import { makeFolder } from "../core/make-folder.ts";
import { commitBatch, type WrittenFile } from "../store/file-batch.ts";
import { grantFiles } from "../store/model-record.ts";
import { originKey } from "../store/store-paths.ts";
import type { WantedChunk } from "./fetch-plan.ts";
import { chunkOffsets, type IncomingFile, openIncomingFile } from "./incoming-file.ts";
import type { PresentOptions, WantedFile } from "./present.ts";
import type { FileSlice } from "./range-reader.ts";

/** Small files are committed together when this many wait, */
const maxBatchFiles = 1024;
/** or this many bytes of them (64 MiB). */
const maxBatchBytes = 67_108_864;

/** A place that a chunk must be written to. */
export interface ChunkTarget {
  readonly incoming: IncomingFile;
  readonly wanted: WantedFile;
  /** Number of the chunk in its file. */
  readonly number: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

/** The files one call brings into the store, and what is missing of them. */
export interface Intake {
  readonly missing: readonly WantedChunk<ChunkTarget>[];
  readonly missingBytes: number;
  /** Bytes of a file that an earlier run left verified. */
  readonly resumed: readonly { readonly wanted: WantedFile; readonly bytes: number }[];
  /** Where the bytes of a chunk are written. */
  sliceOf(chunk: WantedChunk<ChunkTarget>): FileSlice & { readonly path: string };
  /** Notes chunks whose bytes were checked; a file whose last chunk this was is committed. */
  accept(chunks: readonly WantedChunk<ChunkTarget>[]): Promise<void>;
  /** Commits what was complete from the start and the small files still waiting. */
  finish(): Promise<void>;
}

/** Opens the write of each file. The caller has claimed them all. */
export async function openIntake(
  { store, record, transfer }: PresentOptions,
  files: readonly WantedFile[],
): Promise<Intake> {
  const { origin } = record;
  const folder = join(store.paths.ingest, originKey(origin));
  await makeFolder(folder);
  const begun = new Set(await readdir(folder));
  const incoming = new Map<WantedFile, IncomingFile>();
  await forEachConcurrently(files, 16, async (wanted) => {
    const { file, id } = wanted;
    const options = { origin, file, disk: transfer.disk, begun: begun.has(id) };
    incoming.set(wanted, await openIncomingFile(store, options));
  });
  const missing = [...incoming].flatMap(([wanted, file]) => targetsOf(wanted, file));
  const resumed = [...incoming]
    .map(([wanted, file]) => ({ wanted, bytes: bytesHere(file) }))
    .filter(({ bytes }) => bytes > 0);
  const complete = [...incoming.values()].filter((file) => file.missing.length === 0);
  /** How many chunks are still to come, of files of which some came. */
  const waitingFor = new Map<IncomingFile, number>();
  let batch: WrittenFile[] = [];
  let batchBytes = 0;

  // Granted first: a kill in between would leave a file that is here and must be fetched again.
  async function commitWaiting(): Promise<void> {
    const full = batch;
    batch = [];
    batchBytes = 0;
    const ids = full.map((file) => file.id);
    await grantFiles(store.paths, record, ids);
    await commitBatch(store.paths, full);
  }

  const pathOf = ({ id, ingest }: IncomingFile) => ingest?.path ?? join(folder, id);

  async function commit(complete: IncomingFile): Promise<void> {
    const { id, file, ingest } = complete;
    if (ingest === undefined) {
      const path = pathOf(complete);
      if (file.size === 0) await writeFile(path, "");
      batch.push({ id, path, size: file.size });
      batchBytes += file.size;
      if (batch.length >= maxBatchFiles || batchBytes >= maxBatchBytes) await commitWaiting();
      return;
    }
    await grantFiles(store.paths, record, [id]);
    await ingest.commit();
  }

  return {
    missing,
    missingBytes: missing.reduce((sum, { chunk }) => sum + chunk.size, 0),
    resumed,
    sliceOf: ({ chunk, target: { incoming: file, offset } }) => {
      const create = file.ingest === undefined;
      return { path: pathOf(file), offset, size: chunk.size, create };
    },
    accept: async (chunks) => {
      for (const [file, arrived] of Map.groupBy(chunks, ({ target }) => target.incoming)) {
        const numbers = arrived.map(({ target }) => target.number);
        await file.ingest?.record(numbers);
        const left = (waitingFor.get(file) ?? file.missing.length) - numbers.length;
        waitingFor.set(file, left);
        if (left > 0) continue;
        waitingFor.delete(file);
        await commit(file);
      }
    },
    finish: async () => {
      for (const file of complete) await commit(file);
      await commitWaiting();
    },
  };
}

function bytesHere({ file, missing }: IncomingFile): number {
  return missing.reduce((left, number) => left - (file.chunks[number]?.size ?? 0), file.size);
}

function targetsOf(wanted: WantedFile, incoming: IncomingFile): WantedChunk<ChunkTarget>[] {
  const { file, missing } = incoming;
  const offsets = missing.length > 0 ? chunkOffsets(file) : [];
  return missing.flatMap((number) => {
    const [chunk, offset] = [file.chunks[number], offsets[number]];
    if (chunk === undefined || offset === undefined) return [];
    return [{ chunk, target: { incoming, wanted, number, offset } }];
  });
}
