import { forEachConcurrently } from "../core/concurrently.ts";
import type { ContentDigest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { compareNaturally } from "../core/natural-order.ts";
import { parseReference, repositoryName } from "../core/reference.ts";
import { readReferrersTag } from "../oci/referrers-tag.ts";
import type { Repository } from "../oci/repository.ts";
import { type CallOptions, connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { createdAnnotation, createManifestContents, totalBytes } from "./manifest-content.ts";
import { defaultQuestions, resolveTags } from "./tagged-manifests.ts";

export interface ListTagsOptions extends CallOptions {
  /** A reference without tag and digest. */
  readonly repository: string;
  /** Asks for each tag's manifest too: a request or two for each. Default false. */
  readonly details?: boolean | undefined;
  /** Lists tags that only keep what is attached to other manifests, too. Default false. */
  readonly all?: boolean | undefined;
}

export interface ListedTag {
  readonly tag: string;
  /** Undefined, like all below, without `details`. */
  readonly digest: ContentDigest | undefined;
  readonly mediaType: string | undefined;
  /** Its own type, or its config's. Undefined where the manifest cannot be read. */
  readonly artifactType: string | undefined;
  /** Bytes of everything it needs. Undefined where the manifest cannot be read. */
  readonly bytes: number | undefined;
  /** The annotation `org.opencontainers.image.created`, as it stands there. */
  readonly created: string | undefined;
}

export interface TagList {
  /** `host/repository` or `oci:DIR`. */
  readonly repository: string;
  /** In natural order: v2 before v10. */
  readonly tags: readonly ListedTag[];
  /** Tags that were left out because they keep what is attached to other manifests. */
  readonly hidden: number;
}

/**
 * Lists the tags of a repository; none for one that does not exist, which a registry does not tell
 * from an empty one. Rejects with a ModelError.
 */
export async function listTags(options: ListTagsOptions): Promise<TagList> {
  try {
    const reference = parseReference(options.repository);
    if (reference.tag !== undefined || reference.digest !== undefined)
      throw new ModelError("INVALID_ARGUMENT", `${options.repository} names one manifest`, {
        hint: `name the repository alone: ${repositoryName(reference)}`,
      });
    await using connection = await connect(reference, options);
    const { repository } = connection;
    const all = await repository.listTags(options);
    const names = all.filter((tag) => readReferrersTag(tag) === undefined);
    const shown = (options.all === true ? all : names).toSorted(compareNaturally);
    const tags =
      options.details === true ? await describeTags(repository, shown, options) : shown.map(plain);
    return { repository: repository.name, tags, hidden: all.length - shown.length };
  } catch (error) {
    throw describeFailure(error, "listing of tags", options.signal);
  }
}

async function describeTags(
  repository: Repository,
  tags: readonly string[],
  options: ListTagsOptions,
): Promise<ListedTag[]> {
  const { signal } = options;
  const connections = options.transfer?.connections ?? defaultQuestions;
  const resolved = await resolveTags(repository, tags, { signal, connections });
  const contents = createManifestContents(repository);
  const digests = new Set([...resolved.values()].map(({ digest }) => digest));
  await forEachConcurrently(digests, connections, async (digest) => {
    await contents.read(digest, { signal });
  });
  return Promise.all(
    [...resolved].map(async ([tag, { digest, mediaType }]) => {
      const content = await contents.read(digest, { signal });
      return {
        tag,
        digest,
        mediaType,
        artifactType: content?.links.artifactType,
        bytes: content && totalBytes(content.sizes),
        created: content?.links.annotations?.[createdAnnotation],
      };
    }),
  );
}

function plain(tag: string): ListedTag {
  const unknown = undefined;
  return {
    tag,
    digest: unknown,
    mediaType: unknown,
    artifactType: unknown,
    bytes: unknown,
    created: unknown,
  };
}
