import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { type ContentDigest, type DigestAlgorithm, isContentDigest } from "../../core/digest.ts";
import type { Abortable } from "../../core/progress.ts";

const pieceBytes = 1_048_576;

/** A running hash of content that may become long. */
export interface ContentHash {
  readonly algorithm: DigestAlgorithm;
  update(bytes: Uint8Array): void;
  /** Ends it. */
  digest(): ContentDigest;
}

/** Starts a running hash. */
export function createContentHash(algorithm: DigestAlgorithm): ContentHash {
  const running = createHash(algorithm);
  return {
    algorithm,
    update: (bytes) => void running.update(bytes),
    digest: () => {
      const digest = `${algorithm}:${running.digest("hex")}`;
      if (!isContentDigest(digest)) throw new TypeError(`${digest} is no digest`);
      return digest;
    },
  };
}

/** Reads a file from its beginning into a running hash; resolves to how many bytes it has. */
export async function hashFile(
  path: string,
  hash: ContentHash,
  { signal }: Abortable = {},
): Promise<number> {
  await using file = await open(path, "r");
  const buffer = Buffer.allocUnsafeSlow(pieceBytes);
  for (let done = 0; ; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, done);
    if (bytesRead === 0) return done;
    hash.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
}
