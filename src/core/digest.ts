import { createHash, hash } from "node:crypto";
import { ModelError } from "./errors.ts";

declare const digestBrand: unique symbol;

/** A content digest, `sha256:` and 64 lowercase hex digits (image-spec, descriptor.md#digests). */
export type Digest = string & { readonly [digestBrand]: "sha256" };

const pattern = /^sha256:[0-9a-f]{64}$/;

/** Tells whether `text` is a digest Ballast can check. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && pattern.test(text);
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

/** The 64 hex digits of a digest. */
export function digestHex(digest: Digest): string {
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
