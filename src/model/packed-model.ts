import { type ChunkIndex, serializeChunkIndex, treeId } from "../core/chunk-index.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { type Reference, repositoryName } from "../core/reference.ts";
import { type ContentLimits, checkContentLimits } from "../oci/limits.ts";
import {
  emptyConfig,
  emptyConfigBytes,
  maxManifestBytes,
  serializeManifest,
} from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Repository } from "../oci/repository.ts";
import {
  openReadingThreads,
  type ReadOptions,
  readChunks,
  readSlices,
} from "../pack/chunk-reader.ts";
import { createHashThread } from "../pack/hash-thread.ts";
import { LayerPacker } from "../pack/layer-packer.ts";
import { layerCount, layerTarget, maxLayerBytes } from "../pack/layer-rules.ts";
import { sliceOf } from "../pack/open-layer.ts";
import type { KnownSlice } from "../pack/read-jobs.ts";
import type { Source } from "../source/source.ts";
import { type Base, bestBase } from "./base.ts";
import { createLayerUploads, isThere, type LayerUploads } from "./layer-uploads.ts";
import { checkModelFits, totalBytes } from "./model-fits.ts";
import type { PushOptions, PushResult } from "./push.ts";

/** What a push may use: bytes for chunks that are read, hashed and perhaps held, and uploads at once. */
interface Means {
  readonly budgetBytes: number;
  readonly connections: number;
}

/** Layers are held until they are sent: 160 MiB in all. */
const holding: Means = { budgetBytes: 167_772_160, connections: 4 };
/** No larger layers are held (64 MiB): with fewer of them at once, less would be sent at once. */
const maxHeldBytes = 67_108_864;
/** Layers too large for that are hashed (72 MiB), then read again, 32 MiB for each that is sent. */
const reading: Means = { budgetBytes: 75_497_472, connections: 3 };

/** Where a push goes and what it brings. */
export interface PushTarget {
  readonly reference: Reference;
  readonly repository: Repository;
  /** What the repository takes. */
  readonly limits: ContentLimits;
  readonly source: Source;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What a manifest says beside the model, and who is to take it. */
type ManifestTarget = Pick<PushTarget, "annotations" | "limits"> & {
  readonly repository: Pick<Repository, "name">;
};

/** A model whose layers are in the repository (with `dryRun`: would be), all but its manifest. */
export interface PackedModel {
  readonly digest: Digest;
  readonly manifestBytes: Buffer;
  readonly index: ChunkIndex;
  readonly indexDigest: Digest;
  readonly indexBytes: Buffer;
  readonly base: PushResult["base"];
  readonly moved: LayerUploads["moved"];
}

/** What a push tells, less what its connection knows. */
export type Pushed = Omit<PushResult, "annotations" | "bounds" | "requests" | "warnings">;

export interface PackModelOptions extends PushOptions {
  /** Models to build on; of several the one that shares most is taken. */
  readonly bases: readonly Base[];
  /** Layers that the repository lost: not to be built on. */
  readonly lost?: ReadonlySet<Digest> | undefined;
}

type ReadingOptions = PackModelOptions & Pick<Means, "budgetBytes"> & Pick<ReadOptions, "threads">;

/** Reads the source, lays it into layers and sends the new ones. */
export async function packModel(
  target: PushTarget,
  options: PackModelOptions,
): Promise<PackedModel> {
  const { source, repository, limits } = target;
  const { dryRun = false, transfer, signal, onProgress } = options;
  const size = layerTarget(totalBytes(source), limits);
  checkModelFits(target, size);
  const holdBytes = maxLayerBytes(size) <= maxHeldBytes;
  const means = holdBytes ? holding : reading;
  const { connections = means.connections } = transfer ?? {};
  await using threads = openReadingThreads(transfer?.threads);
  const sending = { repository, dryRun, connections, threads, signal, onProgress };
  const uploads = createLayerUploads(sending);
  const stop = signal === undefined ? uploads.failed : AbortSignal.any([signal, uploads.failed]);
  const { budgetBytes } = means;
  const settings = { ...options, signal: stop, budgetBytes, threads };
  const chosen = await chooseBase(source, settings);
  await using hashThread = createHashThread();
  const packer = new LayerPacker({
    target: size,
    maxLayers: layerCount(limits),
    holdBytes,
    threads,
    hashThread,
    base: chosen.base?.model.index,
    canUse: (layer) => canUse(target, layer, { ...options, base: chosen.base }),
    onLayer: (layer) => uploads.add(layer),
  });
  try {
    await readInto(packer, source, { ...settings, slices: chosen.slices });
  } catch (error) {
    await uploads.finish();
    throw error;
  }
  const { index, baseBytes } = await packer.finish(source.files);
  await uploads.finish();
  const base = chosen.base && {
    name: chosen.base.model.name,
    digest: chosen.base.model.digest,
    reusedBytes: baseBytes,
  };
  return { ...makeManifest(index, target), index, base, moved: uploads.moved };
}

/** One base is taken as it is; of several, the best is known only once every chunk is hashed. */
async function chooseBase(
  source: Source,
  options: ReadingOptions,
): Promise<{ base: Base | undefined; slices: readonly KnownSlice[] | undefined }> {
  const [first, second] = options.bases;
  if (second === undefined) return { base: first, slices: undefined };
  const slices: KnownSlice[] = [];
  for await (const chunk of readChunks(source.files, readingOptions(options))) {
    slices.push(sliceOf(chunk));
    chunk.release();
  }
  return { base: bestBase(options.bases, slices), slices };
}

async function canUse(
  { repository }: PushTarget,
  layer: Digest,
  { base, lost, dryRun, signal }: Omit<PackModelOptions, "base"> & { base: Base | undefined },
): Promise<boolean> {
  if (lost?.has(layer) === true) return false;
  if (base?.mountFrom === undefined || dryRun === true) return true;
  return repository.mountBlob(layer, base.mountFrom, { signal });
}

/** Feeds the packer: every chunk of the source once, then those of layers that are left behind. */
async function readInto(
  packer: LayerPacker,
  source: Source,
  options: ReadingOptions & { slices: readonly KnownSlice[] | undefined },
): Promise<void> {
  const known = ({ file, size: bytes }: KnownSlice) =>
    options.onProgress?.({
      type: "bytes",
      path: file.path,
      fileSize: file.size,
      bytes,
      how: "reused",
    });
  if (options.slices === undefined) {
    for await (const chunk of readChunks(source.files, readingOptions(options)))
      if ((await packer.add(chunk)) === "known") known(chunk);
  } else await readFresh(packer, options.slices, { ...options, known });
  for await (const chunk of readSlices(packer.chunksToRepack(), readingOptions(options)))
    await packer.repack(chunk);
}

/** With every digest known only the chunks that need a layer are read again. */
async function readFresh(
  packer: LayerPacker,
  slices: readonly KnownSlice[],
  options: ReadingOptions & { known: (slice: KnownSlice) => void },
): Promise<void> {
  const seen = new Set<Digest>();
  const fresh: KnownSlice[] = [];
  for (const slice of slices) {
    if ((await packer.addKnown(slice)) === "known" || seen.has(slice.digest)) options.known(slice);
    else fresh.push(slice);
    seen.add(slice.digest);
  }
  for await (const chunk of readSlices(fresh, readingOptions(options))) await packer.repack(chunk);
}

function readingOptions({ budgetBytes, threads, signal, onProgress }: ReadingOptions) {
  const onWarning = (message: string) => onProgress?.({ type: "warning", message });
  return { budgetBytes, threads, signal, onWarning };
}

/** The documents of a model that is packed so; throws REGISTRY_LIMIT for one that would be refused. */
export function makeManifest(
  index: ChunkIndex,
  { annotations, limits, repository: { name } }: ManifestTarget,
): Pick<PackedModel, "digest" | "manifestBytes" | "indexDigest" | "indexBytes"> {
  const layers = index.layers.length + 1;
  if (layers > layerCount(limits))
    throw new ModelError(
      "REGISTRY_LIMIT",
      `the model needs ${layers} layers, more than the ${layerCount(limits)} that ${name} takes (${limits.source})`,
      { hint: "push it with --no-base, which packs it anew" },
    );
  const indexBytes = serializeChunkIndex(index);
  const indexDigest = digestOf(indexBytes);
  const manifestBytes = serializeManifest({
    artifactType: mediaTypes.model,
    config: emptyConfig,
    layers: [
      { mediaType: mediaTypes.chunkIndex, digest: indexDigest, size: indexBytes.byteLength },
      ...index.layers.map(({ digest, size }) => ({ mediaType: mediaTypes.layer, digest, size })),
    ],
    annotations,
  });
  if (manifestBytes.byteLength > maxManifestBytes)
    throw new ModelError(
      "REGISTRY_LIMIT",
      `the manifest is ${manifestBytes.byteLength} bytes, more than the ${maxManifestBytes} registries take`,
      { hint: "shorten the annotations" },
    );
  checkContentLimits(limits, {
    name,
    what: "the model",
    layers,
    largestBlobBytes: Math.max(indexBytes.byteLength, ...index.layers.map(({ size }) => size)),
    manifestBytes: manifestBytes.byteLength,
  });
  return { digest: digestOf(manifestBytes), manifestBytes, indexDigest, indexBytes };
}

/** Puts config, index and, when all it names is there, the manifest. */
export async function putModel(
  { repository, reference }: PushTarget,
  packed: PackedModel,
  { signal }: PushOptions,
): Promise<void> {
  const { indexDigest, indexBytes, manifestBytes: bytes, digest } = packed;
  const documents = [
    { digest: emptyConfig.digest, bytes: emptyConfigBytes },
    { digest: indexDigest, bytes: indexBytes },
  ];
  for (const document of documents) {
    const size = document.bytes.byteLength;
    if (await isThere(repository, document.digest, size, signal)) continue;
    const body = () => [document.bytes];
    await repository.putBlob({ digest: document.digest, size }, body, { signal });
  }
  const manifest = { mediaType: mediaTypes.imageManifest, bytes };
  await repository.putManifest(reference.tag ?? digest, manifest, { signal });
}

/** Layers of a packed model that the repository does not have (any more). */
export async function missingLayers(
  { repository }: PushTarget,
  { index }: PackedModel,
  { signal }: PushOptions,
): Promise<Digest[]> {
  const missing: Digest[] = [];
  for (const { digest, size } of index.layers)
    if (!(await isThere(repository, digest, size, signal))) missing.push(digest);
  return missing;
}

/** Makes the result of a push. */
export function describePush({ reference, source }: PushTarget, packed: PackedModel): Pushed {
  const { digest, index, indexDigest, base, moved } = packed;
  const total = totalBytes(source);
  return {
    name: `${repositoryName(reference)}@${digest}`,
    digest,
    tag: reference.tag,
    previousDigest: undefined,
    indexDigest,
    treeId: treeId(index),
    files: index.files.length,
    chunks: index.files.reduce((sum, file) => sum + file.chunks.length, 0),
    bytes: { total, moved: moved.bytes, reused: Math.max(0, total - moved.bytes) },
    layers: { total: index.layers.length, moved: moved.layers },
    base: base !== undefined && base.reusedBytes > 0 ? base : undefined,
    dryRun: false,
  };
}
