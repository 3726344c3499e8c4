import { type ChunkIndex, type IndexedFile, treeId } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { RunOptions } from "../core/progress.ts";
import type { Reference } from "../core/reference.ts";
import { createPathFilter, type Selection } from "../core/selection.ts";
import type { Repository } from "../oci/repository.ts";
import type { ChunkLocation } from "../store/chunk-locations.ts";
import {
  listRecords,
  type ModelRecord,
  readRecord,
  touchRecord,
  writeRecord,
} from "../store/model-record.ts";
import type { Store } from "../store/store.ts";
import { type Origin, originOf } from "../store/store-paths.ts";
import { createBlobRangeReader } from "../transfer/blob-range-reader.ts";
import { startDiskThreads } from "../transfer/disk-threads.ts";
import { makePresent } from "../transfer/present.ts";
import type { ByteCounts } from "../transfer/tally.ts";
import type { PullWork } from "./pull-work.ts";
import { fetchModel, type ResolvedModel } from "./resolve.ts";

/** A model whose manifest and index are in the store and whose record keeps its files. */
export interface OpenedModel extends Disposable {
  readonly model: ResolvedModel;
  readonly record: ModelRecord;
  /** What the tag named at the last pull into this store, if that was something else. */
  readonly previousDigest: Digest | undefined;
}

/** What is pulled: the reference is only for show, since its digest is resolved once. */
export interface PullTarget {
  readonly repository: Repository;
  readonly reference: Reference;
  readonly digest: Digest;
}

/**
 * Records a model in the store, leased until disposed. What this origin gave us before, says a
 * record or (`isHere`) the caller, needs no request at all.
 */
export async function openModel(
  store: Store,
  { repository, reference, digest }: PullTarget,
  options: RunOptions & { readonly isHere: boolean },
): Promise<OpenedModel> {
  const origin = originOf(repository.name);
  const lease = store.lease(origin, digest);
  try {
    const known = await readRecord(store.paths, origin, digest);
    // Another origin's copy would not do: its registry has not said that this origin may read it.
    const cache = known === undefined && !options.isHere ? undefined : store;
    const model = await fetchModel(repository, digest, { ...options, cache });
    await store.writeBlob(model.manifestBytes);
    await store.writeBlob(model.indexBytes);
    const tag = reference.digest === undefined ? reference.tag : undefined;
    const record = makeRecord(model, origin, { known, tag });
    const previousDigest = await moveTag(store, record, tag);
    if (known === undefined || known.tags.length !== record.tags.length)
      await writeRecord(store.paths, record);
    else await touchRecord(store.paths, record);
    return { model, record, previousDigest, [Symbol.dispose]: () => lease[Symbol.dispose]() };
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
}

function makeRecord(
  { index, digest: manifest, indexDigest }: ResolvedModel,
  origin: Origin,
  { known, tag }: { known: ModelRecord | undefined; tag: string | undefined },
): ModelRecord {
  const tags = new Set([...(known?.tags ?? []), ...(tag === undefined ? [] : [tag])]);
  return {
    origin,
    manifest,
    index: indexDigest,
    treeId: treeId(index),
    bytes: index.files.reduce((sum, file) => sum + file.size, 0),
    files: index.files.length,
    tags: [...tags].sort(),
    pinned: known?.pinned ?? false,
  };
}

/** Takes a tag from the record that had it; the digest of that one is the answer. */
async function moveTag(
  store: Store,
  record: ModelRecord,
  tag: string | undefined,
): Promise<Digest | undefined> {
  if (tag === undefined || !record.tags.includes(tag)) return undefined;
  const { host, repository } = record.origin;
  for (const other of await listRecords(store.paths, host)) {
    const same = other.origin.repository === repository && other.manifest !== record.manifest;
    if (!same || !other.tags.includes(tag)) continue;
    await writeRecord(store.paths, { ...other, tags: other.tags.filter((each) => each !== tag) });
    return other.manifest;
  }
  return undefined;
}

/** The files of a model that a selection chooses. Rejects with INVALID_ARGUMENT when that is none. */
export function chooseFiles(index: ChunkIndex, selection: Selection, name: string): IndexedFile[] {
  const chooses = createPathFilter(selection);
  const chosen = index.files.filter((file) => chooses(file.path));
  if (chosen.length === 0)
    throw new ModelError("INVALID_ARGUMENT", `no file of ${name} matches the globs`, {
      hint: "`ballast inspect` lists its files",
    });
  return chosen;
}

/** Makes files of an opened model present in the store. */
export async function bringFiles(
  store: Store,
  work: PullWork,
  donors?: ReadonlyMap<Digest, ChunkLocation>,
): Promise<ByteCounts> {
  const { repository, opened, files, signal, onProgress } = work;
  const { record, model } = opened;
  await using disk = startDiskThreads();
  const reader = createBlobRangeReader(repository, disk);
  const { index } = model;
  return await makePresent({
    store,
    record,
    index,
    files,
    reader,
    disk,
    donors,
    signal,
    onProgress,
  });
}
