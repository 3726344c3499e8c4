import { forEachConcurrently } from "../core/concurrently.ts";
import type { ContentDigest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import type { Reference } from "../core/reference.ts";
import type { ContentDescriptor } from "../oci/descriptor.ts";
import { referrersTag } from "../oci/referrers-tag.ts";
import type { Repository } from "../oci/repository.ts";
import { type AttachedManifest, listAttached } from "./attached.ts";
import { createManifestContents, type ManifestContents } from "./manifest-content.ts";
import { resolveAny } from "./resolve.ts";
import { defaultQuestions, resolveTags } from "./tagged-manifests.ts";

/** One tag or manifest that is to go. */
export interface PlannedRemoval {
  /** `tag`: its manifest stays, by digest. `manifest`: it goes with all of its tags. */
  readonly kind: "tag" | "manifest";
  /** `repository:tag` or `repository@digest`. */
  readonly name: string;
  /** The tag that goes; undefined for a manifest. */
  readonly tag: string | undefined;
  /** The manifest, as the tag named it when it was asked. */
  readonly digest: ContentDigest;
  /** All tags of the manifest that go. */
  readonly tags: readonly string[];
  /** Tags of the same manifest that stay. */
  readonly remainingTags: readonly string[];
  /**
   * What is attached to the manifest; where it goes too, also what is attached to that, and so on.
   * Undefined where it stays and the registry did not list it.
   */
  readonly attached: readonly AttachedManifest[] | undefined;
  /** Whether `attached` goes too. */
  readonly withReferrers: boolean;
  /** Bytes of all that the manifest needs; undefined where it cannot be read. */
  readonly bytes: number | undefined;
}

/** What a removal takes from one repository. */
export interface RepositoryPlan {
  readonly repository: string;
  readonly removals: readonly PlannedRemoval[];
  /**
   * Bytes of what goes that no tag which stays needs, by their manifests. A registry frees them when it
   * collects garbage, and of a manifest that loses only its tags maybe never. Undefined where manifests
   * cannot be read.
   */
  readonly freeableBytes: number | undefined;
  /** Bytes of what goes that tags which stay need too. */
  readonly sharedBytes: number | undefined;
}

/** How many tags of a repository are looked at before something of it is removed. */
const maxSurveyedTags = 2000;
const maxAttached = 1000;

/** Plans what goes, and what stays, when `references` of one repository are removed. Changes nothing. */
export async function planRemoval(
  repository: Repository,
  references: readonly Reference[],
  options: Abortable & { readonly withReferrers: boolean },
): Promise<RepositoryPlan> {
  const names = await repository.listTags(options);
  if (names.length > maxSurveyedTags)
    throw new ModelError(
      "REGISTRY_LIMIT",
      `${repository.name} has ${names.length} tags, more than the ${maxSurveyedTags} that are looked at before a removal`,
      { hint: "remove with the registry's own program, which need not ask for each" },
    );
  const tags = await resolveTags(repository, names, options);
  const targets = await Promise.all(
    references.map((reference) => findTarget(repository, reference, tags, options)),
  );
  const goingTags = new Set(targets.flatMap((target) => target.tags));
  const contents = createManifestContents(repository);
  const removals: PlannedRemoval[] = [];
  for (const target of targets) {
    const attached = options.withReferrers
      ? await listAllAttached(repository, target.digest, options)
      : await listForInformation(repository, target.digest, options);
    const holders = tagsOf(tags, target.digest);
    const sizes = (await contents.read(target.digest, options))?.sizes;
    removals.push({
      ...target,
      remainingTags: holders.filter((tag) => !goingTags.has(tag)),
      attached,
      withReferrers: options.withReferrers,
      bytes: sizes && [...sizes.values()].reduce((sum, size) => sum + size, 0),
    });
  }
  const estimate = await estimateSpace(contents, { removals, tags, goingTags }, options);
  return { repository: repository.name, removals, ...estimate };
}

/** The tags that name a manifest, by what was resolved. */
export function tagsOf(
  tags: ReadonlyMap<string, ContentDescriptor>,
  digest: ContentDigest,
): string[] {
  return [...tags].filter(([, found]) => found.digest === digest).map(([tag]) => tag);
}

type Target = Pick<PlannedRemoval, "kind" | "name" | "tag" | "digest" | "tags">;

async function findTarget(
  repository: Repository,
  reference: Reference,
  tags: ReadonlyMap<string, ContentDescriptor>,
  options: Abortable,
): Promise<Target> {
  const { tag } = reference;
  const { digest } =
    (tag === undefined ? undefined : tags.get(tag)) ??
    (await resolveAny(repository, reference, options));
  return tag === undefined
    ? {
        kind: "manifest",
        name: `${repository.name}@${digest}`,
        tag,
        digest,
        tags: tagsOf(tags, digest),
      }
    : { kind: "tag", name: `${repository.name}:${tag}`, tag, digest, tags: [tag] };
}

/** What is only to be told does not stop a removal. */
async function listForInformation(
  repository: Repository,
  digest: ContentDigest,
  options: Abortable,
): Promise<AttachedManifest[] | undefined> {
  try {
    return await listAttached(repository, digest, options);
  } catch (error) {
    if (!isModelError(error) || options.signal?.aborted === true) throw error;
    return undefined;
  }
}

/** What is attached, nearest first; something attached in a circle is listed once. */
async function listAllAttached(
  repository: Repository,
  digest: ContentDigest,
  options: Abortable,
): Promise<AttachedManifest[]> {
  const found = new Map<ContentDigest, AttachedManifest>();
  const toAsk = [digest];
  for (let next = toAsk.shift(); next !== undefined; next = toAsk.shift()) {
    for (const each of await listAttached(repository, next, options)) {
      if (found.has(each.digest) || each.digest === digest) continue;
      found.set(each.digest, each);
      toAsk.push(each.digest);
    }
    if (found.size > maxAttached)
      throw new ModelError(
        "REGISTRY_LIMIT",
        `more than ${maxAttached} manifests are attached to ${repository.name}@${digest}`,
        { hint: "leave out --with-referrers, or remove them with the registry's own program" },
      );
  }
  return [...found.values()];
}

interface Surveyed {
  readonly removals: readonly PlannedRemoval[];
  readonly tags: ReadonlyMap<string, ContentDescriptor>;
  readonly goingTags: ReadonlySet<string>;
}

async function estimateSpace(
  contents: ManifestContents,
  { removals, tags, goingTags }: Surveyed,
  options: Abortable,
): Promise<Pick<RepositoryPlan, "freeableBytes" | "sharedBytes">> {
  const attached = removals.flatMap((each) => (each.withReferrers ? (each.attached ?? []) : []));
  const going = [...removals, ...attached].map(({ digest }) => digest);
  // A list of referrers needs what goes, and follows it.
  const lists = new Set(going.map(referrersTag));
  const goingKept = new Set(attached.flatMap(({ tag }) => tag ?? []));
  const staying = [...tags]
    .filter(([tag]) => !goingTags.has(tag) && !goingKept.has(tag) && !lists.has(tag))
    .map(([, { digest }]) => digest);
  const [taken, needed] = await Promise.all(
    [going, staying].map((digests) => unite(contents, digests, options)),
  );
  if (taken === undefined || needed === undefined)
    return { freeableBytes: undefined, sharedBytes: undefined };
  let [freeableBytes, sharedBytes] = [0, 0];
  for (const [digest, size] of taken)
    if (needed.has(digest)) sharedBytes += size;
    else freeableBytes += size;
  return { freeableBytes, sharedBytes };
}

/** All that some manifests need; undefined when one of them cannot be read. */
async function unite(
  contents: ManifestContents,
  digests: readonly ContentDigest[],
  options: Abortable,
): Promise<Map<ContentDigest, number> | undefined> {
  const all = new Map<ContentDigest, number>();
  let readable = true;
  await forEachConcurrently(new Set(digests), defaultQuestions, async (digest) => {
    const content = await contents.read(digest, options);
    readable &&= content !== undefined;
    for (const [each, size] of content?.sizes ?? []) all.set(each, size);
  });
  return readable ? all : undefined;
}
