import { isRecord } from "../../../core/chunk-index.ts";
import {
  type ContentDigest,
  contentDigestOf,
  digestAlgorithm,
  isContentDigest,
} from "../../../core/digest.ts";
import { isModelError, ModelError } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import { type BlobFolder, readPieces } from "../blob-folder.ts";

/** Larger than any registry takes. */
const maxBytes = 67_108_864;
const manifestType = /manifest|image\.index/i;
const nothing: NamedContent = {
  isManifest: false,
  digests: new Set(),
  manifests: new Set(),
  subject: undefined,
};

/** What a manifest or image index of any kind says about other content. */
export interface NamedContent {
  /** False for content of any other kind, which names nothing. */
  readonly isManifest: boolean;
  /** Everything but its subject. */
  readonly digests: ReadonlySet<ContentDigest>;
  /** Those of `digests` that are manifests themselves. */
  readonly manifests: ReadonlySet<ContentDigest>;
  readonly subject: ContentDigest | undefined;
}

/** Tells whether content of that media type must be a manifest or an image index. */
export function isManifestType(mediaType: unknown): boolean {
  return mediaType === undefined || (typeof mediaType === "string" && manifestType.test(mediaType));
}

/**
 * Reads what a blob names; undefined when it is not there. Where it `must` be a manifest, rejects
 * with INVALID_MANIFEST when its bytes are damaged or not understood.
 */
export async function readNamedContent(
  blobs: BlobFolder,
  digest: ContentDigest,
  must: boolean,
): Promise<NamedContent | undefined> {
  const what = `manifest ${digest} in ${blobs.directory}`;
  const bytes = await readDocument(blobs, digest, what);
  if (bytes === undefined) return undefined;
  const refuse = (why: string) => new ModelError("INVALID_MANIFEST", `${what}: ${why}`);
  if (bytes === "too large") {
    if (must) throw refuse("is too large to be read");
    return nothing;
  }
  try {
    const root = parseJson(bytes, { maxBytes, what, code: "INVALID_MANIFEST" });
    if (!isRecord(root) || typeof root["schemaVersion"] !== "number")
      throw refuse("has no schemaVersion");
    if (contentDigestOf(bytes, digestAlgorithm(digest)) !== digest) throw refuse("is damaged");
    return findNames(root);
  } catch (error) {
    if (must || !isModelError(error, "INVALID_MANIFEST")) throw error;
    return nothing;
  }
}

/** A document that is no JSON object is known by its first byte. */
async function readDocument(
  blobs: BlobFolder,
  digest: ContentDigest,
  what: string,
): Promise<Buffer | "too large" | undefined> {
  await using blob = await blobs.open(digest);
  if (blob === undefined) return undefined;
  if (blob.size > maxBytes) return "too large";
  const pieces: Buffer[] = [];
  for await (const piece of readPieces(blob, what, undefined)) {
    pieces.push(Buffer.from(piece));
    if (pieces[0]?.toString("latin1", 0, 1) !== "{") break;
  }
  return Buffer.concat(pieces);
}

/**
 * Whatever is called a digest anywhere in it counts, so that no kind of manifest, of whatever tool,
 * loses what it names.
 */
function findNames(root: Readonly<Record<string, unknown>>): NamedContent {
  const digests = new Set<ContentDigest>();
  const manifests = new Set<ContentDigest>();
  const { subject, ...rest } = root;
  const visit = (value: unknown, inManifests: boolean): void => {
    if (Array.isArray(value)) for (const each of value) visit(each, inManifests);
    if (!isRecord(value)) return;
    for (const [key, field] of Object.entries(value))
      if (isContentDigest(field) && (key === "digest" || key === "blobSum")) {
        digests.add(field);
        if (inManifests && isManifestType(value["mediaType"])) manifests.add(field);
      } else visit(field, inManifests || key === "manifests");
  };
  visit(rest, false);
  const named = isRecord(subject) ? subject["digest"] : undefined;
  return {
    isManifest: true,
    digests,
    manifests,
    subject: isContentDigest(named) ? named : undefined,
  };
}
