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
import { countNewInodes } from "../store/new-inodes.ts";
import type { Store } from "../store/store.ts";
import { type Origin, originOf } from "../store/store-paths.ts";
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
 * record or (`isHere`) the caller, needs no request at all; `onNew` hears when it gave us nothing.
 */
export async function openModel(
  store: Store,
  { repository, reference, digest }: PullTarget,
  options: RunOptions & { readonly isHere: boolean; readonly onNew?: () => void },
): Promise<OpenedModel> {
  const origin = originOf(repository.name);
  const lease = await store.lease(origin, digest, options);
  try {
    const known = await readRecord(store.paths, origin, digest);
    // Another origin's copy would not do: its registry has not said that this origin may read it.
    const cache = known === undefined && !options.isHere ? undefined : store;
    if (cache === undefined) options.onNew?.();
    const model = await fetchModel(repository, digest, { ...options, cache });
    const tag = reference.digest === undefined ? reference.tag : undefined;
    const recorded = await store.changes.hold(() => recordModel(store, model, { origin, tag }), {
      signal: options.signal,
    });
    return { model, ...recorded, [Symbol.dispose]: () => lease[Symbol.dispose]() };
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
}

/** Keeps a model's documents and writes its record; the caller holds `changes`. */
async function recordModel(
  store: Store,
  model: ResolvedModel,
  { origin, tag }: { origin: Origin; tag: string | undefined },
): Promise<Pick<OpenedModel, "record" | "previousDigest">> {
  const before = store.isReadOnly ? await readRecord(store.paths, origin, model.digest) : undefined;
  if (before !== undefined) return { record: before, previousDigest: undefined };
  await store.writeBlob(model.manifestBytes);
  await store.writeBlob(model.indexBytes);
  // Others may have recorded, pinned or tagged it while it was fetched.
  const known = await readRecord(store.paths, origin, model.digest);
  const record = makeRecord(model, origin, { known, tag });
  const previousDigest = await moveTag(store, record, tag);
  if (known === undefined || known.tags.length !== record.tags.length)
    await writeRecord(store.paths, record);
  else await touchRecord(store.paths, record);
  return { record, previousDigest };
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
  const { opened, files, transfer, signal, onProgress } = work;
  const { record, model } = opened;
  await store.ledger.requireInodes(await countNewInodes(store.paths, record.origin, files));
  const { index } = model;
  return makePresent({
    store,
    record,
    index,
    files,
    transfer,
    donors,
    signal,
    onProgress,
  });
}
