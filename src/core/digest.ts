import { createHash, hash } from "node:crypto";
import { ModelError } from "./errors.ts";

declare const contentBrand: unique symbol;
declare const digestBrand: unique symbol;

/**
 * A digest of either algorithm that image-spec 1.1 registers (descriptor.md#digests): `sha256:` and
 * 64, or `sha512:` and 128 lowercase hex digits. Content of other tools may have either.
 */
export type ContentDigest = string & { readonly [contentBrand]: true };

/** A sha256 digest: the only kind that Ballast gives to content of its own. */
export type Digest = ContentDigest & { readonly [digestBrand]: "sha256" };

export type DigestAlgorithm = "sha256" | "sha512";

const pattern = /^sha256:[0-9a-f]{64}$/;
const longPattern = /^sha512:[0-9a-f]{128}$/;

/** Tells whether `text` is a sha256 digest. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && pattern.test(text);
}

/** Tells whether `text` is a sha256 or sha512 digest. */
export function isContentDigest(text: unknown): text is ContentDigest {
  return isDigest(text) || (typeof text === "string" && longPattern.test(text));
}

/** Names the algorithm of a digest. */
export function digestAlgorithm(digest: ContentDigest): DigestAlgorithm {
  return isDigest(digest) ? "sha256" : "sha512";
}

/** Parses a digest; rejects with INVALID_REFERENCE any algorithm but sha256 and any other spelling. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  const algorithm = /^([a-z0-9+._-]+):/.exec(text)?.[1];
  const why =
    algorithm !== undefined && algorithm !== "sha256"
      ? `digest algorithm ${JSON.stringify(algorithm)} is not supported`
      : `${JSON.stringify(text.slice(0, 100))} is not a digest`;
  throw new ModelError("INVALID_REFERENCE", `${why}: expected sha256:<64 hex digits>`);
}

/** The hex digits of a digest. */
export function digestHex(digest: ContentDigest): string {
  return digest.slice("sha256:".length);
}

/** Names 64 lowercase hex digits as a sha256 digest. */
export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The digest of `bytes`. For small documents: it runs on the calling thread. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${hash("sha256", bytes, "hex")}` as Digest;
}

/** The digest of `bytes` by an algorithm. For small documents: it runs on the calling thread. */
export function contentDigestOf(bytes: Uint8Array, algorithm: DigestAlgorithm): ContentDigest {
  return `${algorithm}:${hash(algorithm, bytes, "hex")}` as ContentDigest;
}

/** A running sha256 that ends in a Digest. */
export interface DigestHash {
  update(bytes: Uint8Array): void;
  digest(): Digest;
}

/** Starts a running sha256. */
export function createDigestHash(): DigestHash {
  const running = createHash("sha256");
  return {
    update: (bytes) => void running.update(bytes),
    digest: () => `sha256:${running.digest("hex")}` as Digest,
  };
}
