import { type ChunkIndex, indexLimits, parseChunkIndex } from "../core/chunk-index.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import type { Reference } from "../core/reference.ts";
import { type ContentDescriptor, type Descriptor, hasSha256 } from "../oci/descriptor.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";
import { mediaTypes } from "../oci/media-types.ts";
import type { Repository } from "../oci/repository.ts";

/** A model as its registry describes it: everything below works on this, never on a reference. */
export interface ResolvedModel {
  /** `repository@sha256:...` */
  readonly name: string;
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly manifestBytes: Buffer;
  readonly index: ChunkIndex;
  readonly indexDigest: Digest;
  readonly indexBytes: Buffer;
}

/** Keeps manifests and indexes by digest, so that they are fetched once. */
export interface DocumentCache {
  readBlob(digest: Digest): Promise<Buffer | undefined>;
}

/** What a reference without tag and digest means. */
export const defaultTag: string = "latest";

/** The digest a reference names now. Rejects with NOT_FOUND. */
export async function resolveDigest(
  repository: Repository,
  reference: Reference,
  options: Abortable = {},
): Promise<Digest> {
  if (reference.digest !== undefined) return reference.digest;
  const found = await resolveAny(repository, reference, options);
  return modelDigest(found, `${repository.name}:${reference.tag ?? defaultTag}`);
}

/** The manifest of any kind that a reference names now; it is there. Rejects with NOT_FOUND. */
export async function resolveAny(
  repository: Repository,
  reference: Reference,
  options: Abortable = {},
): Promise<ContentDescriptor> {
  const { digest, tag = defaultTag } = reference;
  const found = await repository.resolveManifest(digest ?? tag, options);
  if (found !== undefined) return found;
  if (digest === undefined) throw await missingTag(repository, tag, options);
  throw new ModelError("NOT_FOUND", `${repository.name} has no manifest ${digest}`, {
    hint: "check the digest, the repository's name and your credentials",
  });
}

/** The digest of a model's manifest. Throws UNSUPPORTED_ARTIFACT for what is kept under another kind. */
export function modelDigest(found: ContentDescriptor, name: string): Digest {
  if (hasSha256(found)) return found.digest;
  throw new ModelError(
    "UNSUPPORTED_ARTIFACT",
    `${name} is no Ballast model: it is ${found.digest}`,
    {
      hint: "models have sha256 digests; push the model with `ballast push`",
    },
  );
}

/** Fetches and checks the manifest and the index of a model, from the cache where they are there. */
export async function fetchModel(
  repository: Repository,
  digest: Digest,
  options: Abortable & { readonly cache?: DocumentCache | undefined } = {},
): Promise<ResolvedModel> {
  const name = `${repository.name}@${digest}`;
  const { cache } = options;
  const manifestBytes =
    (await cache?.readBlob(digest)) ?? (await repository.fetchManifest(digest, options)).bytes;
  const manifest = parseManifest(manifestBytes, `manifest ${name}`);
  const descriptor = indexDescriptor(manifest, name);
  const indexBytes =
    (await cache?.readBlob(descriptor.digest)) ??
    (await fetchDocument(repository, descriptor, options));
  const index = parseChunkIndex(indexBytes, `index of ${name}`);
  checkLayers(index, manifest, name);
  const indexDigest = descriptor.digest;
  return { name, digest, manifest, manifestBytes, index, indexDigest, indexBytes };
}

/** Resolves a reference and fetches the model. */
export async function resolveModel(
  repository: Repository,
  reference: Reference,
  options: Abortable = {},
): Promise<ResolvedModel> {
  return fetchModel(repository, await resolveDigest(repository, reference, options), options);
}

function indexDescriptor(manifest: Manifest, name: string): Descriptor {
  const [first] = manifest.layers;
  if (manifest.artifactType !== mediaTypes.model || first?.mediaType !== mediaTypes.chunkIndex)
    throw new ModelError(
      "UNSUPPORTED_ARTIFACT",
      `${name} is no Ballast model: its type is ${describeType(manifest)}`,
      { hint: "push the model with `ballast push`; other artifacts cannot be read" },
    );
  if (first.size > indexLimits.bytes)
    throw new ModelError(
      "INVALID_INDEX",
      `index of ${name} is ${first.size} bytes, more than the ${indexLimits.bytes} allowed`,
    );
  return first;
}

function describeType(manifest: Manifest): string {
  return JSON.stringify((manifest.artifactType ?? manifest.config.mediaType).slice(0, 200));
}

async function fetchDocument(
  repository: Repository,
  { digest, size }: Descriptor,
  { signal }: Abortable,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const range = { offset: 0, length: size };
  for await (const piece of repository.readBlob(digest, { range, signal }))
    pieces.push(Buffer.from(piece));
  const bytes = Buffer.concat(pieces);
  const actual = digestOf(bytes);
  if (actual !== digest)
    throw new ModelError(
      "DIGEST_MISMATCH",
      `${repository.name} served wrong bytes: index ${digest} is ${actual}`,
      { hint: "the registry's copy is damaged: push the model again" },
    );
  return bytes;
}

/** The registry vouches only for layers that the manifest names: the index may use no others. */
function checkLayers(index: ChunkIndex, manifest: Manifest, name: string): void {
  const sizes = new Map(manifest.layers.map((layer) => [layer.digest, layer.size]));
  for (const { digest, size } of index.layers) {
    const actual = sizes.get(digest);
    if (actual === size) continue;
    const why =
      actual === undefined
        ? "which its manifest does not name"
        : `as ${size} bytes, the manifest says ${actual}`;
    throw new ModelError("INVALID_INDEX", `index of ${name} uses layer ${digest}, ${why}`);
  }
}

/** The NOT_FOUND for a tag that a repository does not have, with the tags it has. */
export async function missingTag(
  repository: Repository,
  tag: string,
  options: Abortable,
): Promise<ModelError> {
  const tags = await repository.listTags(options).catch(() => []);
  const hint =
    tags.length === 0
      ? "check the repository's name and your credentials: no tag of it is visible"
      : `tags there: ${tags.slice(-10).join(", ")}${tags.length > 10 ? ", ..." : ""}`;
  return new ModelError("NOT_FOUND", `${repository.name} has no tag ${tag}`, { hint });
}
