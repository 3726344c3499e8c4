import { forEachConcurrently } from "../core/concurrently.ts";
import type { ContentDigest } from "../core/digest.ts";
import type { Abortable } from "../core/progress.ts";
import type { ContentDescriptor } from "../oci/descriptor.ts";
import { referrersTag } from "../oci/referrers-tag.ts";
import type { ManifestReader, ReferrerReader } from "../oci/repository.ts";
import { attachedKind } from "./attached-kind.ts";
import { createdAnnotation, createManifestContents } from "./manifest-content.ts";
import { defaultQuestions, resolveTags } from "./tagged-manifests.ts";

/** Something that says of a manifest that it belongs to it. Nobody has verified that here. */
export interface AttachedManifest {
  readonly digest: ContentDigest;
  readonly mediaType: string;
  readonly artifactType: string | undefined;
  /** In plain words, such as `cosign signature (bundle)`. */
  readonly kind: string;
  /** Bytes of its manifest. */
  readonly size: number;
  /** The annotation `org.opencontainers.image.created`, as it stands there. */
  readonly created: string | undefined;
  /** The tag that keeps it, where it is one of cosign's tags; else undefined: it has a subject. */
  readonly tag: string | undefined;
}

/** How many manifests are read for annotations that the list of referrers lacks. */
const maxReads = 16;
const cosignSuffixes = ["sig", "att", "sbom"];

/**
 * Lists what is attached to a manifest, there or not: its referrers, and what cosign keeps under tags
 * made of the digest (a HEAD each). Lists that other tools wrote lack annotations: then the manifests
 * are read, 16 at most.
 */
export async function listAttached(
  repository: ReferrerReader & ManifestReader,
  digest: ContentDigest,
  { signal }: Abortable = {},
): Promise<AttachedManifest[]> {
  const tags = cosignSuffixes.map((suffix) => `${referrersTag(digest)}.${suffix}`);
  const [referrers, tagged] = await Promise.all([
    repository.listReferrers(digest, { signal }),
    resolveTags(repository, tags, { signal }),
  ]);
  const bare = referrers.filter(({ annotations }) => annotations === undefined).slice(0, maxReads);
  const contents = createManifestContents(repository);
  const read = new Map<ContentDescriptor, ContentDescriptor>();
  await forEachConcurrently(bare, defaultQuestions, async (referrer) => {
    const { artifactType, annotations } =
      (await contents.read(referrer.digest, { signal }))?.links ?? referrer;
    read.set(referrer, { ...referrer, artifactType, annotations });
  });
  return [
    ...referrers.map((referrer) => describe(read.get(referrer) ?? referrer, undefined)),
    ...[...tagged].map(([tag, found]) => describe(found, tag)),
  ];
}

function describe(found: ContentDescriptor, tag: string | undefined): AttachedManifest {
  const { digest, mediaType, size, artifactType, annotations } = found;
  return {
    digest,
    mediaType,
    artifactType,
    kind: attachedKind(found, tag),
    size,
    created: annotations?.[createdAnnotation],
    tag,
  };
}
