import type { Digest } from "../../core/digest.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { readManifestLinks } from "../../oci/layout/manifest-files.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { answerJson, type Exchange } from "./exchange.ts";
import { requireDigest } from "./references.ts";

/**
 * GET of the manifests whose `subject` is a digest, as an image index; `artifactType` filters.
 * Empty rather than 404 where nothing is known (distribution-spec 1.1, "Listing Referrers").
 */
export async function listReferrers(exchange: Exchange): Promise<void> {
  const { state, repository, reference, query } = exchange;
  const digest = requireDigest(reference);
  // An unescaped "+", as in "...v1+json", arrives as a space; no media type has one.
  const artifactType = query.get("artifactType")?.replaceAll(" ", "+");
  const layout = await state.repositories.find(repository);
  const found = layout === undefined ? [] : await findReferrers(layout, digest);
  const manifests =
    artifactType === undefined
      ? found
      : found.filter((referrer) => referrer.artifactType === artifactType);
  const headers = {
    "Content-Type": mediaTypes.imageIndex,
    ...(artifactType === undefined ? {} : { "OCI-Filters-Applied": "artifactType" }),
  };
  answerJson(exchange, { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests }, headers);
}

/** Reads every listed manifest: right at once, and fast enough for the hundreds a repository has. */
async function findReferrers(layout: OciLayout, subject: Digest): Promise<Descriptor[]> {
  const referrers: Descriptor[] = [];
  for (const { mediaType, digest, size } of await layout.listManifests()) {
    const links = await readManifestLinks(layout.blobs, digest);
    if (links?.subject?.digest !== subject) continue;
    const { artifactType, annotations } = links;
    referrers.push({ mediaType, digest, size, artifactType, annotations });
  }
  return referrers;
}
