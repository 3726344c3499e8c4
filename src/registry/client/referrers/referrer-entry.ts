import { isRecord } from "../../../core/chunk-index.ts";
import type { ContentDigest } from "../../../core/digest.ts";
import { parseOrUndefined } from "../../../core/parse-or-undefined.ts";
import {
  type ContentDescriptor,
  readAnnotations,
  readContentDescriptor,
} from "../../../oci/descriptor.ts";

/** A manifest with a `subject`, as lists of referrers show it. */
export interface ReferrerEntry {
  readonly subject: ContentDigest;
  readonly descriptor: ContentDescriptor;
}

/** Reads what a manifest refers to; undefined for one that has no subject, or is no JSON at all. */
export function readReferrerEntry(
  { mediaType, digest, size }: ContentDescriptor,
  bytes: Uint8Array,
): ReferrerEntry | undefined {
  const root = parseOrUndefined(Buffer.from(bytes).toString("utf8"));
  const subject = isRecord(root) ? readContentDescriptor(root["subject"])?.digest : undefined;
  if (!isRecord(root) || subject === undefined) return undefined;
  const config = isRecord(root["config"]) ? root["config"]["mediaType"] : undefined;
  const artifactType = [root["artifactType"], config].find(
    (type): type is string => typeof type === "string" && type !== "",
  );
  const annotations = readAnnotations(root["annotations"]);
  return { subject, descriptor: { mediaType, digest, size, artifactType, annotations } };
}
