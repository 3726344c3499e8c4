import { type ChunkIndex, fileId, type IndexedFile } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import type { RunOptions } from "../core/progress.ts";
import { unlessAborted } from "../core/unless-aborted.ts";
import { type ChunkLocation, findReusable, type Reusable } from "../store/chunk-locations.ts";
import { grantedFiles, grantFiles, type ModelRecord } from "../store/model-record.ts";
import type { Store } from "../store/store.ts";
import { wholeFiles } from "../store/whole-files.ts";
import { ingestFiles } from "./ingest-files.ts";
import { type ByteCounts, createTally, type Tally } from "./tally.ts";
import type { Transfer } from "./transfer.ts";

export interface PresentOptions extends RunOptions {
  readonly store: Store;
  /** Written already, so that what arrives is kept. */
  readonly record: ModelRecord;
  readonly index: ChunkIndex;
  /** The files of the index that are wanted. */
  readonly files: readonly IndexedFile[];
  readonly transfer: Omit<Transfer, keyof AsyncDisposable>;
  /** Chunks that lie outside the store and may be reused. */
  readonly donors?: ReadonlyMap<Digest, ChunkLocation> | undefined;
}

/** A file wanted under one or more paths of the model. */
export interface WantedFile {
  readonly id: string;
  readonly file: IndexedFile;
  readonly paths: readonly string[];
}

/**
 * The heart of pull, prefetch and mount: makes every chunk of the wanted files present in the
 * store, verified, each fetched once however many callers ask at the same time. Idempotent; what
 * was verified before a failure stays for the next call.
 */
export async function makePresent(options: PresentOptions): Promise<ByteCounts> {
  const { store, record, signal, onProgress } = options;
  const tally = createTally(onProgress);
  let pending = groupById(options.files);
  while (pending.length > 0) {
    signal?.throwIfAborted();
    // Claimed before looking: what nobody else may write cannot appear behind our back.
    const ids = pending.map((wanted) => wanted.id);
    const claim = store.claim(record.origin, ids);
    const [owned, others] = partition(pending, ({ id }) => claim.owned.has(id));
    try {
      if (owned.length > 0) await bringFiles(options, owned, tally);
    } finally {
      claim[Symbol.dispose]();
    }
    await unlessAborted(claim.othersDone, signal);
    pending = others;
  }
  return { moved: tally.moved, reused: tally.reused };
}

/** Brings files that this call has claimed. */
async function bringFiles(
  options: PresentOptions,
  files: readonly WantedFile[],
  tally: Tally,
): Promise<void> {
  const { store, record } = options;
  const granted = await grantedFiles(store.paths, record);
  const whole = await wholeFiles(store.paths, files);
  const isHere = ({ id }: WantedFile) => granted.has(id) && whole.has(id);
  const [here, absent] = partition(files, isHere);
  for (const wanted of here) tally.addReused(wanted, wanted.file.size);
  if (absent.length === 0) return;
  const reusable = await findForFiles(options, absent);
  const [usable, missing] = partition(absent, ({ id }) => reusable.files.has(id));
  const ids = usable.map(({ id }) => id);
  await grantFiles(store.paths, record, ids);
  for (const wanted of usable) tally.addReused(wanted, wanted.file.size);
  if (missing.length === 0) return;
  await ingestFiles(options, missing, { local: reusable.chunks, tally });
}

function groupById(files: readonly IndexedFile[]): WantedFile[] {
  const groups = Map.groupBy(files, fileId);
  return [...groups].flatMap(([id, [file, ...more]]) =>
    file === undefined ? [] : [{ id, file, paths: [file, ...more].map((each) => each.path) }],
  );
}

async function findForFiles(
  { store, record, index, donors }: PresentOptions,
  absent: readonly WantedFile[],
): Promise<Reusable> {
  const files = absent.map(({ file }) => file);
  const layers = new Set(index.layers.map((layer) => layer.digest));
  const { paths, bootId } = store;
  const found = await findReusable({ paths, origin: record.origin, files, layers, bootId });
  return { files: found.files, chunks: new Map([...(donors ?? []), ...found.chunks]) };
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const { yes = [], no = [] } = Object.groupBy(items, (item) => (test(item) ? "yes" : "no"));
  return [yes, no];
}
