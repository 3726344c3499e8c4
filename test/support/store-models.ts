import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  type Chunk,
  type ChunkIndex,
  fileId,
  serializeChunkIndex,
  treeId,
} from "../../src/core/chunk-index.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import { emptyConfig, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { BlobReader } from "../../src/oci/repository.ts";
import { type ModelRecord, readRecord, writeRecord } from "../../src/store/model-record.ts";
import type { Store } from "../../src/store/store.ts";
import { type Origin, originOf } from "../../src/store/store-paths.ts";
import { buildTree } from "../../src/store/tree.ts";
import { makePresent, type PresentOptions } from "../../src/transfer/present.ts";
import type { ByteCounts } from "../../src/transfer/tally.ts";
import { openTransfer } from "../../src/transfer/transfer.ts";

/** A model in memory, as a registry would describe and serve it. */
export interface TestModel {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly index: ChunkIndex;
  readonly indexBytes: Buffer;
  readonly manifestBytes: Buffer;
  readonly manifest: Digest;
  readonly layers: ReadonlyMap<Digest, Buffer>;
  readonly bytes: number;
}

/** Bytes that look random and depend on `seed` alone. */
export function bytesOf(seed: number | string, size: number): Buffer {
  if (size === 0) return Buffer.alloc(0);
  return createHash("shake256", { outputLength: size }).update(String(seed)).digest();
}

/** Cuts files into chunks and lays each different chunk once into layers of about `layerBytes`. */
export function makeModel(
  files: Readonly<Record<string, Buffer>>,
  options: { readonly chunkBytes?: number; readonly layerBytes?: number } = {},
): TestModel {
  const { chunkBytes = 65_536, layerBytes = 1_048_576 } = options;
  const places = new Map<Digest, { layer: number; offset: number }>();
  const contents: Buffer[][] = [[]];
  const indexed = Object.entries(files).map(([path, bytes]) => {
    const chunks: Chunk[] = [];
    for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
      const piece = bytes.subarray(at, at + chunkBytes);
      const digest = digestOf(piece);
      const place = places.get(digest) ?? lay(contents, piece, layerBytes);
      places.set(digest, place);
      chunks.push({ digest, size: piece.byteLength, ...place });
    }
    return { path, size: bytes.byteLength, chunks };
  });
  const blobs = contents.map((pieces) => Buffer.concat(pieces)).filter((blob) => blob.length > 0);
  const layers = blobs.map((blob) => ({ digest: digestOf(blob), size: blob.byteLength }));
  return describeModel(
    { layers, files: indexed },
    { files, layers: new Map(blobs.map((blob) => [digestOf(blob), blob])) },
  );
}

/** Makes a model of an index that need not be true. */
export function describeModel(
  index: ChunkIndex,
  content: {
    readonly files: Readonly<Record<string, Buffer>>;
    readonly layers: ReadonlyMap<Digest, Buffer>;
  },
): TestModel {
  const indexBytes = serializeChunkIndex(index);
  const descriptor = { digest: digestOf(indexBytes), size: indexBytes.byteLength };
  const manifestBytes = serializeManifest({
    artifactType: mediaTypes.model,
    config: emptyConfig,
    layers: [
      { mediaType: mediaTypes.chunkIndex, ...descriptor },
      ...index.layers.map((layer) => ({ mediaType: mediaTypes.layer, ...layer })),
    ],
    annotations: {},
  });
  return {
    files: new Map(Object.entries(content.files)),
    index,
    indexBytes,
    manifestBytes,
    manifest: digestOf(manifestBytes),
    layers: content.layers,
    bytes: index.files.reduce((sum, file) => sum + file.size, 0),
  };
}

function lay(contents: Buffer[][], piece: Buffer, layerBytes: number) {
  let last = contents.at(-1) ?? [];
  let offset = last.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (offset > 0 && offset + piece.byteLength > layerBytes) {
    last = [];
    contents.push(last);
    offset = 0;
  }
  last.push(piece);
  return { layer: contents.length - 1, offset };
}

/** A source of layers that counts what it serves. */
export interface CountingSource extends BlobReader {
  readonly name: string;
  readonly served: { bytes: number; requests: number };
}

export interface SourceFaults {
  /** Called before each piece of 16 KiB; what it throws ends the body. */
  readonly onPiece?: (() => Promise<void> | void) | undefined;
}

/** Serves the layers of models under the name of a repository. */
export function serveModels(
  name: string,
  models: readonly TestModel[],
  faults: SourceFaults = {},
): CountingSource {
  const layers = new Map<string, Buffer>(models.flatMap((model) => [...model.layers]));
  const served = { bytes: 0, requests: 0 };
  return {
    name,
    served,
    statBlob: (digest) => Promise.resolve(layers.get(digest)?.byteLength),
    async *readBlob(digest, { range, signal } = {}) {
      const layer = layers.get(digest);
      if (layer === undefined) throw new ModelError("NOT_FOUND", `${name} has no ${digest}`);
      const { offset, length } = range ?? { offset: 0, length: layer.byteLength };
      served.requests += 1;
      for (let at = 0; at < length; at += 16_384) {
        await faults.onPiece?.();
        signal?.throwIfAborted();
        const piece = layer.subarray(offset + at, offset + Math.min(length, at + 16_384));
        served.bytes += piece.byteLength;
        yield piece;
      }
    },
  };
}

/** Records a model as resolved from `name`, as a pull does before the first chunk. */
export async function recordModel(
  store: Store,
  name: string,
  model: TestModel,
): Promise<ModelRecord> {
  return store.changes.hold(() => writeModel(store, name, model));
}

async function writeModel(store: Store, name: string, model: TestModel): Promise<ModelRecord> {
  await store.writeBlob(model.manifestBytes);
  await store.writeBlob(model.indexBytes);
  const origin = originOf(name);
  const known = await readRecord(store.paths, origin, model.manifest);
  const record: ModelRecord = {
    origin,
    manifest: model.manifest,
    index: digestOf(model.indexBytes),
    treeId: treeId(model.index),
    bytes: model.bytes,
    files: model.index.files.length,
    tags: [],
    pinned: known?.pinned ?? false,
  };
  await writeRecord(store.paths, record);
  return record;
}

export interface PullTestOptions extends Partial<Pick<PresentOptions, "signal" | "onProgress">> {
  readonly connections?: number | undefined;
  readonly source: CountingSource;
}

export interface PulledTestModel {
  readonly tree: string;
  readonly bytes: ByteCounts;
  readonly record: ModelRecord;
  readonly origin: Origin;
}

/** Pulls a model into a store: record, chunks, tree. */
export async function pullModel(
  store: Store,
  model: TestModel,
  options: PullTestOptions,
): Promise<PulledTestModel> {
  const { source, connections, ...rest } = options;
  const { index } = model;
  using _lease = await store.lease(originOf(source.name), model.manifest);
  const record = await recordModel(store, source.name, model);
  await using transfer = openTransfer(source, { threads: 2, connections });
  const bytes = await makePresent({
    store,
    record,
    index,
    files: index.files,
    transfer,
    ...rest,
  });
  const { treeId: id } = record;
  const tree = await buildTree(store.paths, { treeId: id, selection: "all", files: index.files });
  return { tree, bytes, record, origin: record.origin };
}

/** Paths of a tree whose bytes are not those of the model; empty when it is right. */
export async function wrongFiles(tree: string, model: TestModel): Promise<string[]> {
  const wrong: string[] = [];
  for (const [path, expected] of model.files) {
    const actual = await readFile(`${tree}/${path}`).catch(() => undefined);
    if (actual?.equals(expected) !== true) wrong.push(path);
  }
  return wrong;
}

/** Id of the file at `path` of a model. */
export function idOf(model: TestModel, path: string): string {
  const file = model.index.files.find((each) => each.path === path);
  if (file === undefined) throw new Error(`no file ${path}`);
  return fileId(file);
}
