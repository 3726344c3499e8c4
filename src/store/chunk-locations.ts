import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathExists, undefinedIfMissing } from "../core/absence.ts";
import { type ChunkIndex, fileId, type IndexedFile, parseChunkIndex } from "../core/chunk-index.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { isModelError } from "../core/errors.ts";
import { parseManifest } from "../oci/manifest.ts";
import { ingestFolder, verifiedChunks } from "./ingest.ts";
import { grantedFiles, listRecords, type StoredRecord } from "./model-record.ts";
import { type Origin, originKey, type StorePaths } from "./store-paths.ts";

/** Where the bytes of a chunk lie on this machine. */
export interface ChunkLocation {
  readonly path: string;
  /** Bytes from the start of that file. */
  readonly offset: number;
}

export interface Reusable {
  /** Those of the wanted files that are here whole and that this origin may use. */
  readonly files: ReadonlySet<string>;
  /** Chunks the origin may reuse, by digest. Read, hash and only then use them. */
  readonly chunks: ReadonlyMap<Digest, ChunkLocation>;
}

export interface ReuseQuery {
  readonly paths: StorePaths;
  readonly origin: Origin;
  /** The files that are needed. */
  readonly files: readonly IndexedFile[];
  /** Layers that the new manifest names: its registry vouches that the origin holds them. */
  readonly layers: ReadonlySet<Digest>;
  readonly bootId: string | undefined;
}

/** What is being looked for, and what was found so far. */
interface Search extends Omit<ReuseQuery, "files"> {
  /** Ids. */
  readonly wanted: ReadonlySet<string>;
  readonly wantedChunks: ReadonlySet<Digest>;
  /** Ids of files that this origin began to write. */
  readonly unfinished: ReadonlySet<string>;
  readonly files: Set<string>;
  readonly chunks: Map<Digest, ChunkLocation>;
  /** The same in files that have rotted: most of their chunks have not. */
  readonly rotten: Map<Digest, ChunkLocation>;
}

/** A file of a model that was granted, and what may be used of it. */
interface GrantedFile {
  readonly search: Search;
  readonly index: ChunkIndex;
  /** The model is of the very repository that asks. */
  readonly own: boolean;
  readonly file: IndexedFile;
  readonly id: string;
}

/**
 * Finds what need not be fetched. Inside one origin every chunk here may be reused; from another
 * repository of the same host only a chunk of a layer that the new manifest names as well. Knowing
 * a digest is never enough. Derived from the indexes each time: there is no database.
 */
export async function findReusable(query: ReuseQuery): Promise<Reusable> {
  const { paths, origin } = query;
  // An empty file has nothing to reuse.
  const wanted = query.files.filter((file) => file.chunks.length > 0);
  const begun = await readdir(join(paths.ingest, originKey(origin))).catch(undefinedIfMissing);
  const search: Search = {
    ...query,
    wanted: new Set(wanted.map(fileId)),
    wantedChunks: new Set(wanted.flatMap(digestsOf)),
    unfinished: new Set(begun),
    files: new Set(),
    chunks: new Map(),
    rotten: new Map(),
  };
  const records = await listRecords(paths, origin.host);
  for (const record of records.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime())) {
    if (search.files.size === search.wanted.size) break;
    await searchModel(search, record);
  }
  return { files: search.files, chunks: new Map([...search.rotten, ...search.chunks]) };
}

/** The index of a recorded model; undefined when it is not on this machine or damaged. */
export async function readIndex(
  paths: StorePaths,
  record: Pick<StoredRecord, "index">,
): Promise<ChunkIndex | undefined> {
  return readDocument(paths, record.index, (bytes) =>
    parseChunkIndex(bytes, `index ${record.index}`),
  );
}

async function readDocument<T>(
  paths: StorePaths,
  digest: Digest,
  parse: (bytes: Buffer) => T,
): Promise<T | undefined> {
  const bytes = await readFile(paths.blob(digest)).catch(undefinedIfMissing);
  if (bytes === undefined || digestOf(bytes) !== digest) return undefined;
  try {
    return parse(bytes);
  } catch (error) {
    if (isModelError(error)) return undefined;
    throw error;
  }
}

async function searchModel(search: Search, record: StoredRecord): Promise<void> {
  const own = record.origin.repository === search.origin.repository;
  // A manifest is small, an index may be large: most other repositories end here.
  if (!own && !(await sharesLayer(search, record))) return;
  const index = await readIndex(search.paths, record);
  if (index === undefined) return;
  const granted = await grantedFiles(search.paths, record);
  for (const file of index.files) {
    if (!file.chunks.some((chunk) => search.wantedChunks.has(chunk.digest))) continue;
    const id = fileId(file);
    if (search.files.has(id)) continue;
    const isGranted = granted.has(id);
    const found = { search, index, own, file, id };
    if (isGranted && (await pathExists(search.paths.file(id)))) {
      addFile(found);
      continue;
    }
    if (own && search.unfinished.has(id)) await addUnfinished(search, file, id);
    if (isGranted) await addQuarantined(found);
  }
}

async function sharesLayer(search: Search, record: StoredRecord): Promise<boolean> {
  const manifest = await readDocument(search.paths, record.manifest, (bytes) =>
    parseManifest(bytes, `manifest ${record.manifest}`),
  );
  return manifest?.layers.some((layer) => search.layers.has(layer.digest)) === true;
}

function addFile(found: GrantedFile): void {
  const { search, file, id } = found;
  const mayUse = (number: number) => isVouched(found, number);
  if (search.wanted.has(id) && file.chunks.every((_, number) => mayUse(number)))
    search.files.add(id);
  addChunks(search, search.chunks, file, { path: search.paths.file(id), mayUse });
}

/** Whoever copies a chunk hashes it: what has not rotted of the file need not be fetched. */
async function addQuarantined(found: GrantedFile): Promise<void> {
  const { search, file, id } = found;
  const path = join(search.paths.quarantine, id);
  const there = await stat(path).catch(undefinedIfMissing);
  if (there === undefined) return;
  const mayUse = (number: number, end: number) => end <= there.size && isVouched(found, number);
  addChunks(search, search.rotten, file, { path, mayUse });
}

/** The registry vouches for the layer that a chunk was verified from. */
function isVouched({ search, index, own, file }: GrantedFile, number: number): boolean {
  const digest = index.layers[file.chunks[number]?.layer ?? -1]?.digest;
  return own || (digest !== undefined && search.layers.has(digest));
}

/** A chunk of an unfinished file counts only where its journal can be trusted unread. */
async function addUnfinished(search: Search, file: IndexedFile, id: string): Promise<void> {
  const path = join(ingestFolder(search.paths, search.origin, id), "data");
  const verified = new Set(await verifiedChunks({ ...search, file, id }));
  addChunks(search, search.chunks, file, { path, mayUse: (number) => verified.has(number) });
}

function addChunks(
  { wantedChunks }: Search,
  chunks: Map<Digest, ChunkLocation>,
  file: IndexedFile,
  {
    path,
    mayUse,
  }: { readonly path: string; readonly mayUse: (number: number, end: number) => boolean },
): void {
  let offset = 0;
  for (const [number, { digest, size }] of file.chunks.entries()) {
    if (wantedChunks.has(digest) && !chunks.has(digest) && mayUse(number, offset + size))
      chunks.set(digest, { path, offset });
    offset += size;
  }
}

function digestsOf(file: IndexedFile): Digest[] {
  return file.chunks.map((chunk) => chunk.digest);
}
