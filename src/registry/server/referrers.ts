import type { ContentDescriptor } from "../../oci/descriptor.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { maxManifestBytes } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { answerJson, type Exchange } from "./exchange.ts";
import { requireContentDigest } from "./references.ts";

/** A page ends here, or where it would be larger than a manifest may be. */
const maxPage = 1000;
/** What is around the descriptors. */
const frameBytes = 256;

interface Page {
  readonly manifests: readonly ContentDescriptor[];
  readonly isLast: boolean;
}

/**
 * GET of the manifests whose `subject` is a digest, as an image index; `artifactType` filters, and
 * `Link` names the next page of a long list. Empty rather than 404 where nothing is known
 * (distribution-spec 1.1, "Listing Referrers").
 */
export async function listReferrers(exchange: Exchange): Promise<void> {
  const { state, repository, reference, query } = exchange;
  const digest = requireContentDigest(reference);
  // An unescaped "+", as in "...v1+json", arrives as a space; no media type has one.
  const artifactType = query.get("artifactType")?.replaceAll(" ", "+") || undefined;
  const layout = await state.repositories.find(repository);
  const last = query.get("last") ?? "";
  const all = (await layout?.findReferrers(digest, { artifactType })) ?? [];
  const rest = last === "" ? all : all.filter((referrer) => referrer.digest > last);
  const { manifests, isLast } = await takePage(layout, rest);
  const next = new URLSearchParams({
    ...(artifactType === undefined ? {} : { artifactType }),
    last: manifests.at(-1)?.digest ?? "",
  });
  const link = `</v2/${repository}/referrers/${digest}?${next.toString()}>; rel="next"`;
  const headers = {
    "Content-Type": mediaTypes.imageIndex,
    ...(artifactType === undefined ? {} : { "OCI-Filters-Applied": "artifactType" }),
    ...(isLast ? {} : { Link: link }),
  };
  answerJson(exchange, { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests }, headers);
}

/** At least one, however large its annotations are. */
async function takePage(
  layout: OciLayout | undefined,
  referrers: readonly ContentDescriptor[],
): Promise<Page> {
  const manifests: ContentDescriptor[] = [];
  let bytes = frameBytes;
  for (const referrer of referrers.slice(0, maxPage)) {
    const described = (await layout?.describeReferrer(referrer)) ?? referrer;
    bytes += Buffer.byteLength(JSON.stringify(described)) + 1;
    if (bytes > maxManifestBytes && manifests.length > 0) return { manifests, isLast: false };
    manifests.push(described);
  }
  return { manifests, isLast: referrers.length <= maxPage };
}
