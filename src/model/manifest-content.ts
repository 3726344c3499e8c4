import type { ContentDigest } from "../core/digest.ts";
import { isModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import type { ContentDescriptor } from "../oci/descriptor.ts";
import { type ManifestLinks, parseManifestLinks } from "../oci/layout/manifest-links.ts";
import { isManifestType } from "../oci/manifest-types.ts";
import type { ManifestReader } from "../oci/repository.ts";

/** What one manifest of any kind says and needs. */
interface ManifestContent {
  readonly links: ManifestLinks;
  /** Bytes of everything it needs, by digest, itself and the manifests of an index among them. */
  readonly sizes: ReadonlyMap<ContentDigest, number>;
}

/** Reads manifests of one repository, each once. */
export interface ManifestContents {
  /** Undefined for what is not there, is damaged, or cannot be read as a manifest. */
  read(digest: ContentDigest, options?: Abortable): Promise<ManifestContent | undefined>;
}

/** When a manifest was made, by its own account (image-spec 1.1, annotations.md). */
export const createdAnnotation: string = "org.opencontainers.image.created";
/** How deep an index may hold indexes. */
const maxDepth = 4;

/** Opens a reader of what manifests need. */
export function createManifestContents(repository: ManifestReader): ManifestContents {
  const known = new Map<ContentDigest, Promise<ManifestContent | undefined>>();

  const read = (digest: ContentDigest, depth: number, options: Abortable) => {
    const before = known.get(digest);
    if (before !== undefined) return before;
    const reading = readOne(digest, depth, options);
    known.set(digest, reading);
    return reading;
  };

  async function readOne(digest: ContentDigest, depth: number, options: Abortable) {
    const links = await fetchLinks(repository, digest, options);
    if (links === undefined) return undefined;
    const sizes = new Map<ContentDigest, number>([[digest, links.size]]);
    for (const { digest: needed, size, mediaType } of links.required) {
      sizes.set(needed, size);
      if (depth === maxDepth || !isManifestType(mediaType)) continue;
      const inner = await read(needed, depth + 1, options);
      for (const [each, bytes] of inner?.sizes ?? []) sizes.set(each, bytes);
    }
    return { links, sizes };
  }

  return { read: (digest, options = {}) => read(digest, 0, options) };
}

async function fetchLinks(
  repository: ManifestReader,
  digest: ContentDigest,
  options: Abortable,
): Promise<(ManifestLinks & Pick<ContentDescriptor, "size">) | undefined> {
  try {
    const { bytes } = await repository.fetchManifest(digest, options);
    return { ...parseManifestLinks(bytes, `manifest ${digest}`), size: bytes.byteLength };
  } catch (error) {
    if (isModelError(error, "NOT_FOUND", "INVALID_MANIFEST", "DIGEST_MISMATCH")) return undefined;
    throw error;
  }
}

/** Bytes of all that is in `sizes`. */
export function totalBytes(sizes: ReadonlyMap<ContentDigest, number>): number {
  return sizes.values().reduce((sum, size) => sum + size, 0);
}
