import type { ContentDigest } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import { maxManifestBytes } from "../manifest.ts";
import { type BlobFolder, readPieces } from "./blob-folder.ts";
import { type ManifestLinks, parseManifestLinks } from "./manifest-links.ts";
import { MissingBlobs } from "./missing-blobs.ts";

/** Reads a manifest's file, unchecked; undefined when there is none, INVALID_MANIFEST above 4 MiB. */
export async function readManifestFile(
  blobs: BlobFolder,
  digest: ContentDigest,
): Promise<Buffer | undefined> {
  await using blob = await blobs.open(digest);
  if (blob === undefined) return undefined;
  const what = `manifest ${digest} in ${blobs.directory}`;
  if (blob.size > maxManifestBytes)
    throw new ModelError(
      "INVALID_MANIFEST",
      `${what} has ${blob.size} bytes, more than the ${maxManifestBytes} allowed`,
    );
  const pieces: Buffer[] = [];
  for await (const piece of readPieces(blob, what, undefined)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** The links of a blob that is a manifest; undefined for any other content. */
export async function readManifestLinks(
  blobs: BlobFolder,
  digest: ContentDigest,
): Promise<ManifestLinks | undefined> {
  const size = await blobs.stat(digest);
  if (size === undefined || size > maxManifestBytes) return undefined;
  const bytes = await readManifestFile(blobs, digest);
  try {
    return bytes && parseManifestLinks(bytes, `blob ${digest} in ${blobs.directory}`);
  } catch (error) {
    if (isModelError(error, "INVALID_MANIFEST")) return undefined;
    throw error;
  }
}

/** A manifest that only an image index names is not in index.json; its file says what it is. */
export async function resolveUnlisted(
  blobs: BlobFolder,
  digest: ContentDigest,
): Promise<ContentDescriptor | undefined> {
  const links = await readManifestLinks(blobs, digest);
  const size = await blobs.stat(digest);
  if (size === undefined || links === undefined) return undefined;
  return { mediaType: links.mediaType, digest, size };
}

/**
 * Rejects with MissingBlobs (BLOB_UNKNOWN) when some of `required` are not there, INVALID_MANIFEST
 * when one has another size than its descriptor says.
 */
export async function checkRequired(
  blobs: BlobFolder,
  required: readonly ContentDescriptor[],
  what: string,
): Promise<void> {
  const missing: ContentDigest[] = [];
  for (const { digest, size } of required) {
    const found = await blobs.stat(digest);
    if (found === undefined) missing.push(digest);
    else if (found !== size)
      throw new ModelError(
        "INVALID_MANIFEST",
        `${what} says that ${digest} has ${size} bytes; it has ${found}`,
      );
  }
  if (missing.length > 0) throw new MissingBlobs(what, missing);
}
