import { type ContentDigest, type Digest, isContentDigest, isDigest } from "../core/digest.ts";

const foreignType = /\.layer\.nondistributable\.|\.rootfs\.foreign\./;

/** Content by digest and size (image-spec 1.1, descriptor.md). */
export interface Descriptor<D extends ContentDigest = Digest> {
  readonly mediaType: string;
  readonly digest: D;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** A descriptor of anybody's content. */
export type ContentDescriptor = Descriptor<ContentDigest>;

/** Reads a sha256 descriptor from parsed JSON; undefined when a field is missing or malformed. */
export function readDescriptor(raw: unknown): Descriptor | undefined {
  const found = readContentDescriptor(raw);
  return found !== undefined && hasSha256(found) ? found : undefined;
}

/** Tells whether a descriptor's digest is of the kind that Ballast's own content has. */
export function hasSha256(found: ContentDescriptor): found is Descriptor {
  return isDigest(found.digest);
}

/** Reads a descriptor from parsed JSON; undefined when a required field is missing or malformed. */
export function readContentDescriptor(raw: unknown): ContentDescriptor | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const { mediaType, digest, size, artifactType, annotations } = raw as Record<string, unknown>;
  if (typeof mediaType !== "string" || !isContentDigest(digest)) return undefined;
  if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined;
  const notes = readAnnotations(annotations);
  return {
    mediaType,
    digest,
    size: size as number,
    ...(typeof artifactType === "string" ? { artifactType } : {}),
    ...(notes === undefined ? {} : { annotations: notes }),
  };
}

/** Keeps the string values of an annotations object. */
export function readAnnotations(raw: unknown): Record<string, string> | undefined {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return undefined;
  const entries = Object.entries(raw).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return Object.fromEntries(entries);
}

/**
 * Whether a descriptor is of a layer that is to be had elsewhere: it has `urls`, or a type that says
 * so (image-spec 1.1, non-distributable layers; Docker's foreign ones).
 */
export function isForeign({
  mediaType,
  urls,
}: {
  readonly mediaType?: unknown;
  readonly urls?: unknown;
}): boolean {
  const hasPlaces = Array.isArray(urls) && urls.length > 0;
  return hasPlaces || (typeof mediaType === "string" && foreignType.test(mediaType));
}
