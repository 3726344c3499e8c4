import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { pathExists, undefinedIfMissing } from "../core/absence.ts";
import { type Digest, isDigest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { RunOptions } from "../core/progress.ts";
import { parseReference, repositoryName } from "../core/reference.ts";
import type { Watermarks } from "../store/eviction.ts";
import { collect, removeModelRecord } from "../store/garbage.ts";
import { createIndexFiles, type IndexFiles } from "../store/index-files.ts";
import { exclusiveBytes, listContent, measure, readNeeds, sumOf } from "../store/model-needs.ts";
import { listRecords, type StoredRecord } from "../store/model-record.ts";
import { setPinned } from "../store/pin.ts";
import { openStore, type Store } from "../store/store.ts";
import { storePaths } from "../store/store-paths.ts";
import type { OpenStoreOptions } from "../store/store-root.ts";
import { describeFailure } from "./failure.ts";
import { grantedTrees } from "./granted-trees.ts";
import { scrub } from "./scrub.ts";

export interface StoreOptions extends RunOptions {
  /** Root of the store. */
  readonly store: string;
  readonly waitForLock?: boolean | undefined;
}

export interface StoredModel {
  /** `repository@sha256:...` */
  readonly name: string;
  readonly digest: Digest;
  readonly tags: readonly string[];
  readonly bytes: number;
  /** Bytes that would be freed by removing it. */
  readonly exclusiveBytes: number;
  readonly files: number;
  /** Paths of complete trees; none while a pull is unfinished. */
  readonly trees: readonly string[];
  readonly pinned: boolean;
  /** ISO 8601. */
  readonly lastUsed: string;
}

export interface FreedBytes {
  readonly removed: readonly string[];
  /** Bytes. */
  readonly freed: number;
}

/** What lies in a store. */
export interface StoreSurvey {
  /** Most recently used first. */
  readonly models: StoredModel[];
  /** Of all files, those that no model needs too. */
  readonly bytes: number;
}

/** Lists the models of a store, most recently used first. Needs no lock. */
export async function listModels(options: Pick<StoreOptions, "store">): Promise<StoredModel[]> {
  return (await surveyStore(options)).models;
}

/**
 * Looks once at all that lies in a store. Needs no lock. `files` is for who looks again and again: it
 * keeps what it read of the store's models.
 */
export async function surveyStore({
  store,
  files,
}: Pick<StoreOptions, "store"> & { readonly files?: IndexFiles }): Promise<StoreSurvey> {
  try {
    return await survey(store, files ?? createIndexFiles(storePaths(store)));
  } catch (error) {
    throw describeFailure(error, "listing", undefined);
  }
}

async function survey(root: string, files: IndexFiles): Promise<StoreSurvey> {
  const paths = storePaths(root);
  const found = await stat(root).catch(undefinedIfMissing);
  if (found?.isDirectory() === false)
    throw new ModelError("NOT_FOUND", `there is no store at ${root}: it is no folder`, {
      hint: "name the store with --store or BALLAST_STORE",
    });
  const records = await listRecords(paths);
  const newestFirst = records.toSorted((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
  const content = await listContent(paths);
  const sizes = await measure(content);
  const exclusive = exclusiveBytes(await readNeeds(paths, records, { content, files }), sizes);
  files.keepOnly(records);
  const models = await Promise.all(
    newestFirst.map(async (record) => {
      return {
        name: nameOf(record),
        digest: record.manifest,
        tags: record.tags,
        bytes: record.bytes,
        exclusiveBytes: exclusive.get(record) ?? 0,
        files: record.files,
        trees: await grantedTrees(paths, record, files),
        pinned: record.pinned,
        lastUsed: record.lastUsed.toISOString(),
      };
    }),
  );
  return { models, bytes: sumOf(content, sizes) };
}

/** Removes one model: by reference with tag, with digest, or its digest alone. NOT_FOUND, MODEL_IN_USE. */
export async function removeModel(options: StoreOptions & { model: string }): Promise<FreedBytes> {
  return withStore(options, async (store) => {
    const record = await findModel(store, options.model);
    const freed = await removeModelRecord(store, record, options);
    return { removed: [nameOf(record)], freed };
  });
}

/**
 * Deletes what no model needs, then, with `maxBytes`, the least recently used models that are not
 * pinned until the store's files are at most that large.
 */
export async function collectGarbage(
  options: StoreOptions & { maxBytes?: number | undefined; dryRun?: boolean | undefined },
): Promise<FreedBytes> {
  const { maxBytes, dryRun, signal } = options;
  return withStore(options, async (store) => {
    const swept = await collect(store, { watermarks: upTo(maxBytes), dryRun, signal });
    return { removed: swept.removed.map(nameOf), freed: swept.freedBytes };
  });
}

/** Watermarks that leave so many bytes of files; undefined leaves all. */
export function upTo(maxBytes: number | undefined): Watermarks {
  return { bytes: maxBytes === undefined ? undefined : { high: maxBytes, low: maxBytes } };
}

/** Keeps a model from being evicted (`pinned: true`), or lets it go again. Idempotent. */
export async function pinModel(
  options: StoreOptions & { model: string; pinned: boolean },
): Promise<void> {
  await withStore(options, async (store) => {
    const record = await findModel(store, options.model);
    await setPinned(store, record, options.pinned, options);
  });
}

/** Re-reads every file of the store; rotten ones are quarantined, so that the next pull fetches them. */
export async function verifyStore(options: StoreOptions): Promise<{
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly { readonly path: string; readonly problem: string }[];
}> {
  return withStore({ ...options, orReadOnly: true }, (store) => scrub(store, options));
}

async function withStore<T>(
  options: StoreOptions & Pick<OpenStoreOptions, "orReadOnly">,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const { store: root, waitForLock: wait, orReadOnly, signal, onProgress } = options;
  try {
    if (!(await pathExists(storePaths(root).version)))
      throw new ModelError("NOT_FOUND", `there is no store at ${root}`, {
        hint: "name it with --store or BALLAST_STORE; a first pull makes one",
      });
    const onWait = () =>
      onProgress?.({
        type: "notice",
        message: "waiting for another process to finish with the store",
      });
    await using store = await openStore(root, { wait, orReadOnly, signal, onWait });
    return await work(store);
  } catch (error) {
    throw describeFailure(error, "work on the store", options.signal, [root]);
  }
}

/**
 * The one model that a reference with tag or digest, or a manifest digest alone, names. Rejects with
 * NOT_FOUND, and INVALID_ARGUMENT when it names several.
 */
export async function findModel(store: Store, text: string): Promise<StoredRecord> {
  const matches = (await listRecords(store.paths)).filter(matcher(text));
  const [found, second] = matches;
  if (found === undefined)
    throw new ModelError("NOT_FOUND", `no model ${text} in the store ${store.paths.root}`, {
      hint: "`ballast store ls` lists what is there",
    });
  if (second !== undefined)
    throw new ModelError(
      "INVALID_ARGUMENT",
      `${text} names ${matches.length} models of the store`,
      {
        hint: `say which: ${matches.map(nameOf).join(", ")}`,
      },
    );
  return found;
}

function matcher(text: string): (record: StoredRecord) => boolean {
  if (isDigest(text)) return (record) => record.manifest === text;
  const reference = parseReference(text);
  const name =
    reference.kind === "layout" ? `oci:${resolve(reference.directory)}` : repositoryName(reference);
  const { tag, digest } = reference;
  return (record) =>
    record.origin.name === name &&
    (digest === undefined || record.manifest === digest) &&
    (tag === undefined || digest !== undefined || record.tags.includes(tag));
}

/** `repository@sha256:...` */
export function nameOf(record: Pick<StoredRecord, "origin" | "manifest">): string {
  return `${record.origin.name}@${record.manifest}`;
}
