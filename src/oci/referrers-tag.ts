import { type ContentDigest, digestAlgorithm, digestHex } from "../core/digest.ts";

/** The tag schema cuts digests to this many digits, as a sha512 is longer than a tag may be. */
const maxHex = 64;
const pattern = /^(sha(?:256|512)-[0-9a-f]{64})(\..+)?$/;

/**
 * The tag that lists what refers to a manifest where no API does (distribution-spec 1.1, "Referrers
 * Tag Schema"). cosign's own tags are this and a suffix: `.sig`, `.att`, `.sbom`.
 */
export function referrersTag(subject: ContentDigest): string {
  return `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, maxHex)}`;
}

/** A tag that is made of a digest. */
export interface ReadReferrersTag {
  /** The `referrersTag` of what it belongs to. */
  readonly list: string;
  /** With its dot; undefined for the list itself. */
  readonly suffix: string | undefined;
}

/** Reads a tag that keeps what belongs to another manifest; undefined for a name of its own. */
export function readReferrersTag(tag: string): ReadReferrersTag | undefined {
  const [, list, suffix] = pattern.exec(tag) ?? [];
  return list === undefined ? undefined : { list, suffix };
}
