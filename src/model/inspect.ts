import { bootId } from "../core/boot-id.ts";
import { type ChunkIndex, type IndexedFile, treeId } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { isModelError } from "../core/errors.ts";
import { parseReference } from "../core/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { modelAnnotations } from "../pack/metadata/model-facts.ts";
import { findReusable } from "../store/chunk-locations.ts";
import { originOf, storePaths } from "../store/store-paths.ts";
import { hasTree } from "../store/tree.ts";
import { type AttachedManifest, listAttached } from "./attached.ts";
import type { CallOptions } from "./connection.ts";
import { connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { readTensors } from "./remote-tensors.ts";
import { type ResolvedModel, resolveModel } from "./resolve.ts";

export interface InspectOptions extends CallOptions {
  readonly reference: string;
  /** Root of a store to compare with; read without its lock. */
  readonly store?: string | undefined;
}

interface InspectedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes. */
  readonly size: number;
}

export interface InspectedFile {
  readonly path: string;
  readonly size: number;
  readonly digest: Digest | undefined;
  readonly chunks: number;
  /** Of safetensors and GGUF files. */
  readonly tensors: readonly InspectedTensor[] | undefined;
}

export interface InspectResult {
  readonly name: string;
  readonly digest: Digest;
  readonly artifactType: string | undefined;
  readonly treeId: string;
  readonly bytes: number;
  readonly chunks: number;
  readonly license: string | undefined;
  /** What the model says it derives from. */
  readonly baseModel: string | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly files: readonly InspectedFile[];
  readonly layers: readonly {
    readonly digest: Digest;
    readonly size: number;
    readonly liveBytes: number;
  }[];
  /**
   * Signatures, SBOMs and whatever else says that it belongs to this manifest. Shown, not verified:
   * whoever may push can attach anything. Undefined where the registry did not list it (a warning).
   */
  readonly attached: readonly AttachedManifest[] | undefined;
  /** What of it is in the store; undefined without a store. */
  readonly here: { readonly bytes: number; readonly complete: boolean } | undefined;
}

/** Tells what a reference holds, from its manifest, index and tensor headers. Rejects with a ModelError. */
export async function inspect(options: InspectOptions): Promise<InspectResult> {
  try {
    return await inspectModel(options);
  } catch (error) {
    throw describeFailure(error, "inspection", options.signal);
  }
}

async function inspectModel(options: InspectOptions): Promise<InspectResult> {
  const reference = parseReference(options.reference);
  await using connection = await connect(reference, options);
  const { repository } = connection;
  const model = await resolveModel(repository, reference, options);
  const { name, digest, manifest, index } = model;
  const attached = await lookForAttached(repository, digest, options);
  const annotations = manifest.annotations ?? {};
  return {
    name,
    digest,
    artifactType: manifest.artifactType,
    treeId: treeId(index),
    bytes: index.files.reduce((sum, file) => sum + file.size, 0),
    chunks: index.files.reduce((sum, file) => sum + file.chunks.length, 0),
    license: annotations[modelAnnotations.licenses],
    baseModel: annotations[modelAnnotations.base],
    annotations,
    files: await describeFiles(repository, index, options),
    layers: liveLayers(index),
    attached,
    here:
      options.store === undefined ? undefined : await lookInStore(repository, model, options.store),
  };
}

/** A registry that cannot list what is attached still has the model. */
async function lookForAttached(
  repository: Repository,
  digest: Digest,
  { signal, onProgress }: InspectOptions,
): Promise<InspectResult["attached"]> {
  try {
    return await listAttached(repository, digest, { signal });
  } catch (error) {
    if (!isModelError(error) || signal?.aborted === true) throw error;
    const message = `what is attached to it cannot be listed: ${error.message}`;
    onProgress?.({ type: "warning", message });
    return undefined;
  }
}

async function describeFiles(
  repository: Repository,
  index: ChunkIndex,
  options: InspectOptions,
): Promise<InspectedFile[]> {
  const tensors = await readTensors(repository, index, options);
  return index.files.map((file) => ({
    path: file.path,
    size: file.size,
    digest: file.digest,
    chunks: file.chunks.length,
    tensors: tensors
      .get(file)
      ?.map(({ name, dtype, shape, size }) => ({ name, dtype, shape, size })),
  }));
}

function liveLayers(index: ChunkIndex): InspectResult["layers"] {
  const live = index.layers.map(() => 0);
  const seen = new Set<Digest>();
  for (const { digest, layer, size } of index.files.flatMap((file) => file.chunks)) {
    if (!seen.has(digest)) live[layer] = (live[layer] ?? 0) + size;
    seen.add(digest);
  }
  return index.layers.map(({ digest, size }, at) => ({ digest, size, liveBytes: live[at] ?? 0 }));
}

async function lookInStore(
  repository: Repository,
  { index }: ResolvedModel,
  root: string,
): Promise<InspectResult["here"]> {
  const paths = storePaths(root);
  const origin = originOf(repository.name);
  const layers = new Set(index.layers.map((layer) => layer.digest));
  const found = await findReusable({ paths, origin, files: index.files, layers, bootId: bootId() });
  const here = (file: IndexedFile) =>
    file.chunks.reduce((sum, { digest, size }) => sum + (found.chunks.has(digest) ? size : 0), 0);
  const bytes = index.files.reduce((sum, file) => sum + here(file), 0);
  return { bytes, complete: await hasTree(paths, treeId(index), "all") };
}
