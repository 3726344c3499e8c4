import type { ContentDigest } from "../../core/digest.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import type { LinksCache } from "./links-cache.ts";
import type { ManifestLinks } from "./manifest-links.ts";

/**
 * The first manifest that needs a blob or manifest, of those in `listed` and those that their image
 * indexes name, at any depth. Undefined when none does. An index of nothing but the referrers of one
 * manifest needs none of them: clients keep such lists under tags, and change them afterwards.
 */
export async function findHolder(
  links: LinksCache,
  digest: ContentDigest,
  listed: readonly ContentDescriptor[],
): Promise<ContentDigest | undefined> {
  const seen = new Set(listed.map((manifest) => manifest.digest));
  const ahead = [...listed];
  for (let manifest = ahead.pop(); manifest !== undefined; manifest = ahead.pop()) {
    const found = await links.read(manifest);
    const names = found?.required.some((needed) => needed.digest === digest) === true;
    if (found !== undefined && names && !(await isReferrersList(links, found)))
      return manifest.digest;
    for (const child of found?.manifests ?? []) {
      if (seen.has(child.digest)) continue;
      seen.add(child.digest);
      ahead.push(child);
    }
  }
  return undefined;
}

async function isReferrersList(links: LinksCache, { manifests }: ManifestLinks): Promise<boolean> {
  const subjects = new Set<ContentDigest>();
  for (const child of manifests) {
    const found = await links.read(child);
    if (found === undefined) continue;
    if (found.subject === undefined) return false;
    subjects.add(found.subject.digest);
  }
  return subjects.size === 1;
}
