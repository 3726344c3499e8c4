import type { ContentDigest } from "../../core/digest.ts";
import type { Abortable } from "../../core/progress.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import { referrersTag } from "../referrers-tag.ts";
import type { ManifestReader } from "../repository.ts";
import { parseManifestLinks } from "./manifest-links.ts";

/**
 * The referrers that other programs list in a folder under a tag, as they do in registries that have
 * no API for it; none without the tag. Rejects with INVALID_MANIFEST for a list that cannot be read.
 */
export async function readReferrersList(
  layout: ManifestReader & { readonly name: string },
  subject: ContentDigest,
  options: Abortable | undefined,
): Promise<readonly ContentDescriptor[]> {
  const tag = referrersTag(subject);
  if ((await layout.resolveManifest(tag, options)) === undefined) return [];
  const { bytes } = await layout.fetchManifest(tag, options);
  return parseManifestLinks(bytes, `tag ${tag} of ${layout.name}`).manifests;
}
