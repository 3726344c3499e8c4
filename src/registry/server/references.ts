import { type ContentDigest, type Digest, isContentDigest, isDigest } from "../../core/digest.ts";
import { ProtocolError } from "./errors.ts";

/** A sha256 digest from a path or query; answers 400 DIGEST_INVALID to anything else. */
export function requireDigest(text: string | null): Digest {
  if (isDigest(text)) return text;
  throw noDigest(text, "sha256:<64 hex digits>");
}

/** A digest of either algorithm from a path or query; answers 400 DIGEST_INVALID to anything else. */
export function requireContentDigest(text: string | null): ContentDigest {
  if (isContentDigest(text)) return text;
  throw noDigest(text, "sha256:<64 hex digits> or sha512:<128 hex digits>");
}

function noDigest(text: string | null, expected: string): ProtocolError {
  const shown = text === null ? "none" : JSON.stringify(text.slice(0, 200));
  return new ProtocolError(400, {
    code: "DIGEST_INVALID",
    message: `expected ${expected}, got ${shown}`,
  });
}

/** The quoted digest, as a strong entity tag: content by digest never changes. */
export function entityTag(digest: ContentDigest): string {
  return `"${digest}"`;
}
