import type { ContentDigest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import { readReferrersTag, referrersTag } from "../../oci/referrers-tag.ts";
import type { Side } from "./side.ts";

/** Tags that are made of a digest: what cosign calls `sha256-<hex>.sig`, `.att` and `.sbom`. */
export interface SignatureTags {
  /** Those made of this digest. Rejects naming the source. */
  of(digest: ContentDigest): Promise<readonly string[]>;
}

/** Lists the source's tags when it is first asked; a source that shows none has a warning instead. */
export function createSignatureTags(source: Side, options: RunOptions): SignatureTags {
  let listed: Promise<ReadonlyMap<string, string[]>> | undefined;
  return {
    async of(digest) {
      listed ??= list(source, options);
      return (await listed).get(referrersTag(digest)) ?? [];
    },
  };
}

async function list(
  source: Side,
  { signal, onProgress }: RunOptions,
): Promise<ReadonlyMap<string, string[]>> {
  const byList = new Map<string, string[]>();
  for (const tag of await listTags()) {
    const { list: name, suffix } = readReferrersTag(tag) ?? {};
    // The list itself is kept by whoever puts referrers.
    if (name === undefined || suffix === undefined) continue;
    byList.set(name, [...(byList.get(name) ?? []), tag]);
  }
  return byList;

  async function listTags(): Promise<string[]> {
    try {
      return await source.on(() => source.repository.listTags({ signal }));
    } catch (error) {
      if (!isModelError(error, "FORBIDDEN", "UNAUTHORIZED", "REGISTRY_UNSUPPORTED")) throw error;
      const message = `${error.message}: signatures that only a tag names are left out`;
      onProgress?.({ type: "warning", message });
      return [];
    }
  }
}
