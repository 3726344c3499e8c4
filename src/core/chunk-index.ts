import { type Digest, digestHex, digestOf, isDigest } from "./digest.ts";
import { ModelError } from "./errors.ts";
import { parseJson } from "./json.ts";
import { checkModelPaths, comparePaths } from "./model-path.ts";

/** Largest chunk, in bytes (32 MiB). */
export const maxChunkBytes = 33_554_432;
/** The version of the rules that say where chunks end; part of every index. */
const chunkRules = 1;

/** Bounds on a ChunkIndex from outside; a 1 TiB model stays far below each. */
export const indexLimits = {
  bytes: 134_217_728,
  files: 1_000_000,
  chunks: 4_000_000,
  layers: 10_000,
} as const;

/** A contiguous slice of one file; unit of dedupe, verification, transfer and resume. */
export interface Chunk {
  readonly digest: Digest;
  /** Bytes, 1 to `maxChunkBytes`. */
  readonly size: number;
  /** Number of the layer in the index's layer table. */
  readonly layer: number;
  /** Where the chunk starts in that layer, in bytes. */
  readonly offset: number;
}

export interface IndexedFile {
  /** Relative, `/`-separated, NFC (see model-path.ts). */
  readonly path: string;
  readonly size: number;
  /** sha256 of the whole file where it cost nothing to know; a claim that only `verify` checks. */
  readonly digest?: Digest | undefined;
  /** In file order; their sizes add up to `size`; none for an empty file. */
  readonly chunks: readonly Chunk[];
}

interface IndexedLayer {
  readonly digest: Digest;
  readonly size: number;
}

/** The document that says: files -> chunks -> (layer, offset). docs/format.md specifies it. */
export interface ChunkIndex {
  readonly layers: readonly IndexedLayer[];
  /** Sorted by path bytes. */
  readonly files: readonly IndexedFile[];
}

/** Writes an index as its canonical bytes: fixed key order, no spaces, files sorted by path. */
export function serializeChunkIndex(index: ChunkIndex): Buffer {
  const files = index.files
    .toSorted((a, b) => comparePaths(a.path, b.path))
    .map((file) => ({
      path: file.path,
      size: file.size,
      ...(file.digest === undefined ? {} : { digest: file.digest }),
      chunks: file.chunks.map((chunk) => [chunk.digest, chunk.size, chunk.layer, chunk.offset]),
    }));
  const layers = index.layers.map((layer) => ({ digest: layer.digest, size: layer.size }));
  const chunking = { rules: chunkRules, target: maxChunkBytes };
  return Buffer.from(JSON.stringify({ schemaVersion: 1, chunking, layers, files }));
}

/**
 * Parses and checks an index from outside: shape, limits, paths, sizes that add up, chunks inside
 * their layers. Throws INVALID_INDEX (or INVALID_PATH) naming `what` and the first fault.
 */
export function parseChunkIndex(bytes: Uint8Array, what: string): ChunkIndex {
  const refuse = (why: string) => new ModelError("INVALID_INDEX", `${what}: ${why}`);
  const root = parseJson(bytes, { maxBytes: indexLimits.bytes, what, code: "INVALID_INDEX" });
  if (!isRecord(root)) throw refuse("is not an object");
  if (root["schemaVersion"] !== 1)
    throw new ModelError(
      "INVALID_INDEX",
      `${what}: schemaVersion ${quote(root["schemaVersion"])} is not known`,
      {
        hint: "a newer Ballast may have pushed this model; upgrade this one",
      },
    );
  const { layers: rawLayers, files: rawFiles } = root;
  if (!Array.isArray(rawLayers) || rawLayers.length > indexLimits.layers)
    throw refuse(`layers is not a list of at most ${indexLimits.layers}`);
  if (!Array.isArray(rawFiles) || rawFiles.length > indexLimits.files)
    throw refuse(`files is not a list of at most ${indexLimits.files}`);
  const layers = rawLayers.map((raw, at) =>
    parseLayer(raw, () => refuse(`layer ${at} is malformed`)),
  );
  let chunkCount = 0;
  const files = rawFiles.map((raw, at) => {
    const file = parseFile(raw, layers, (why) => refuse(`file ${at}: ${why}`));
    chunkCount += file.chunks.length;
    if (chunkCount > indexLimits.chunks) throw refuse(`has more than ${indexLimits.chunks} chunks`);
    return file;
  });
  checkModelPaths(
    files.map((file) => file.path),
    what,
  );
  checkChunkSizes(files, refuse);
  return { layers, files };
}

function parseLayer(raw: unknown, refuse: () => ModelError): IndexedLayer {
  if (!isRecord(raw) || !isDigest(raw["digest"]) || !isSize(raw["size"])) throw refuse();
  return { digest: raw["digest"], size: raw["size"] };
}

function parseFile(
  raw: unknown,
  layers: readonly IndexedLayer[],
  refuse: (why: string) => ModelError,
): IndexedFile {
  if (!isRecord(raw)) throw refuse("is not an object");
  const { path, size, digest, chunks: rawChunks } = raw;
  if (typeof path !== "string") throw refuse("path is not a string");
  if (!isSize(size)) throw refuse("size is not a whole number of bytes");
  if (digest !== undefined && !isDigest(digest)) throw refuse("digest is not a sha256 digest");
  if (!Array.isArray(rawChunks)) throw refuse("chunks is not a list");
  const chunks = rawChunks.map((chunk) => parseChunk(chunk, layers, refuse));
  const sum = chunks.reduce((total, chunk) => total + chunk.size, 0);
  if (sum !== size) throw refuse(`its chunks hold ${sum} bytes, its size says ${size}`);
  return { path, size, ...(digest === undefined ? {} : { digest }), chunks };
}

function parseChunk(
  raw: unknown,
  layers: readonly IndexedLayer[],
  refuse: (why: string) => ModelError,
): Chunk {
  if (!Array.isArray(raw) || raw.length !== 4)
    throw refuse("a chunk is not [digest, size, layer, offset]");
  const [digest, size, layer, offset] = raw as unknown[];
  if (!isDigest(digest)) throw refuse(`chunk digest ${quote(digest)} is not a sha256 digest`);
  if (!isSize(size) || size < 1 || size > maxChunkBytes)
    throw refuse(`chunk size ${quote(size)} is not within 1 and ${maxChunkBytes}`);
  const holder = isSize(layer) ? layers[layer] : undefined;
  if (!isSize(layer) || holder === undefined)
    throw refuse(`chunk layer ${quote(layer)} is not in the table`);
  if (!isSize(offset) || offset + size > holder.size)
    throw refuse(`chunk at ${quote(offset)} ends outside layer ${layer}`);
  return { digest, size, layer, offset };
}

function checkChunkSizes(files: readonly IndexedFile[], refuse: (why: string) => ModelError): void {
  const sizes = new Map<Digest, number>();
  for (const file of files)
    for (const chunk of file.chunks) {
      const known = sizes.get(chunk.digest);
      if (known !== undefined && known !== chunk.size)
        throw refuse(`chunk ${chunk.digest} has two sizes, ${known} and ${chunk.size}`);
      sizes.set(chunk.digest, chunk.size);
    }
}

/** Names a file by what it holds: hex sha256 over its chunk list, a line `<digest> <size>` each. */
export function fileId(file: Pick<IndexedFile, "chunks">): string {
  return digestHex(
    digestOf(file.chunks.map((chunk) => `${chunk.digest} ${chunk.size}\n`).join("")),
  );
}

/** Names a tree of files: hex sha256 over `<path> NUL <size> NUL <file id> LF`, sorted by path. */
export function treeId(index: Pick<ChunkIndex, "files">): string {
  const lines = index.files
    .toSorted((a, b) => comparePaths(a.path, b.path))
    .map((file) => `${file.path}\0${file.size}\0${fileId(file)}\n`);
  return digestHex(digestOf(lines.join("")));
}

/** Tells whether `value` is an object with string keys (and no array). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function quote(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 100);
}
