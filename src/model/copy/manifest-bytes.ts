import { type ContentDigest, contentDigestOf, digestAlgorithm } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { FetchedManifest } from "../../oci/repository.ts";
import type { Side } from "./side.ts";

/** Manifests of the source, by digest only and checked against it. */
export interface ManifestBytes {
  /** Rejects with NOT_FOUND or DIGEST_MISMATCH, naming the source. */
  fetch(digest: ContentDigest, options: Abortable): Promise<FetchedManifest>;
}

/** Keeps up to `budgetBytes` of what was fetched (32 MiB); the rest is fetched again when it is put. */
export function createManifestBytes(source: Side, budgetBytes = 33_554_432): ManifestBytes {
  const kept = new Map<ContentDigest, FetchedManifest>();
  let keptBytes = 0;
  return {
    async fetch(digest, { signal }) {
      const known = kept.get(digest);
      if (known !== undefined) return known;
      const found = await source.on(async () => {
        const fetched = await source.repository.fetchManifest(digest, { signal });
        checkBytes(fetched.bytes, digest, source);
        return fetched;
      });
      if (keptBytes + found.bytes.byteLength <= budgetBytes) {
        kept.set(digest, found);
        keptBytes += found.bytes.byteLength;
      }
      return found;
    },
  };
}

function checkBytes(bytes: Uint8Array, digest: ContentDigest, { repository }: Side): void {
  const actual = contentDigestOf(bytes, digestAlgorithm(digest));
  if (actual === digest) return;
  throw new ModelError("DIGEST_MISMATCH", `manifest ${digest} of ${repository.name} is ${actual}`, {
    hint: "its copy there is damaged: push it again",
  });
}
