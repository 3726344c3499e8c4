import { type Digest, isDigest } from "../core/digest.ts";

/** Content by digest and size (image-spec 1.1, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Reads a descriptor from parsed JSON; undefined when a required field is missing or malformed. */
export function readDescriptor(raw: unknown): Descriptor | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const { mediaType, digest, size, artifactType, annotations } = raw as Record<string, unknown>;
  if (typeof mediaType !== "string" || !isDigest(digest)) return undefined;
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
