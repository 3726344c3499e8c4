import { type Digest, isDigest } from "../../core/digest.ts";
import { ProtocolError } from "./errors.ts";

/** A digest from a path or query; answers 400 DIGEST_INVALID to anything else. */
export function requireDigest(text: string | null): Digest {
  if (isDigest(text)) return text;
  const shown = text === null ? "none" : JSON.stringify(text.slice(0, 200));
  throw new ProtocolError(400, {
    code: "DIGEST_INVALID",
    message: `expected sha256:<64 hex digits>, got ${shown}`,
  });
}

/** The quoted digest, as a strong entity tag: content by digest never changes. */
export function entityTag(digest: Digest): string {
  return `"${digest}"`;
}
