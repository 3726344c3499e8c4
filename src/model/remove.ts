import { ModelError } from "../core/errors.ts";
import { parseReference, type Reference, repositoryName } from "../core/reference.ts";
import { referrersTag } from "../oci/referrers-tag.ts";
import type { Repository } from "../oci/repository.ts";
import { type CallOptions, type Connection, connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { createManifestContents } from "./manifest-content.ts";
import { type PlannedRemoval, planRemoval, type RepositoryPlan, tagsOf } from "./removal-plan.ts";
import { resolveTags } from "./tagged-manifests.ts";

export interface RemoveOptions extends CallOptions {
  /**
   * Each with a tag, which is taken away while its manifest stays, or with a digest, whose manifest goes
   * with all of its tags; not with both.
   */
  readonly references: readonly string[];
  /** Removes what is attached to the manifests too, nearest last; only for digests. Default false. */
  readonly withReferrers?: boolean | undefined;
  /** Only plans. */
  readonly dryRun?: boolean | undefined;
  /** Asked once, before anything changes; false stops with CANCELLED. Default: yes. */
  readonly confirm?: ((plan: RemovalPlan) => boolean | Promise<boolean>) | undefined;
}

export interface RemovalPlan {
  readonly repositories: readonly RepositoryPlan[];
}

export interface RemovalResult extends RemovalPlan {
  /** Names of what was removed, in this order; empty for a dry run. */
  readonly removed: readonly string[];
  readonly dryRun: boolean;
}

/**
 * Takes tags and manifests out of repositories. All is looked up and `confirm` is asked before the
 * first goes, and nothing goes when a tag has come to name something else meanwhile (TAG_EXISTS).
 * Rejects with NOT_FOUND for what is not there, REGISTRY_UNSUPPORTED where the registry removes nothing.
 */
export async function removeFromRepository(options: RemoveOptions): Promise<RemovalResult> {
  try {
    return await remove(options);
  } catch (error) {
    throw describeFailure(error, "removal", options.signal);
  }
}

interface Group {
  readonly connection: Connection;
  readonly plan: RepositoryPlan;
}

async function remove(options: RemoveOptions): Promise<RemovalResult> {
  const { signal, withReferrers = false, dryRun = false } = options;
  const references = options.references.map((text) => parseTarget(text, withReferrers));
  const byRepository = Map.groupBy(references, repositoryName);
  await using connections = new AsyncDisposableStack();
  const groups: Group[] = [];
  for (const targets of byRepository.values()) {
    const [first] = targets;
    if (first === undefined) continue;
    const writes = first.kind === "registry"; // A folder that is no layout is not made one.
    const connection = connections.use(await connect(first, { ...options, writes }));
    const distinct = Map.groupBy(targets, ({ tag, digest }) => tag ?? digest).values();
    const wanted = [...distinct].flatMap((same) => same.slice(0, 1));
    const plan = await planRemoval(connection.repository, wanted, { signal, withReferrers });
    groups.push({ connection, plan });
  }
  const plan = { repositories: groups.map((group) => group.plan) };
  if (dryRun) return { ...plan, removed: [], dryRun };
  if ((await options.confirm?.(plan)) === false)
    throw new ModelError("CANCELLED", "nothing was removed");
  for (const group of groups) await checkUnmoved(group, options);
  const removed: string[] = [];
  for (const { connection, plan: each } of groups)
    for (const removal of tagsFirst(each.removals))
      removed.push(...(await carryOut(connection.repository, removal, options)));
  return { ...plan, removed, dryRun };
}

function parseTarget(text: string, withReferrers: boolean): Reference {
  const reference = parseReference(text);
  const { tag, digest } = reference;
  const name = repositoryName(reference);
  if ((tag === undefined) === (digest === undefined))
    throw new ModelError(
      "INVALID_ARGUMENT",
      tag === undefined
        ? `${text} names no tag and no digest`
        : `${text} names a tag and a digest: which of them is to go?`,
      { hint: `${name}:TAG takes a tag away, ${name}@DIGEST a manifest with all of its tags` },
    );
  if (withReferrers && digest === undefined)
    throw new ModelError(
      "INVALID_ARGUMENT",
      `${text} is a tag: its manifest stays, and what is attached to that`,
      {
        hint: `name the manifest by its digest: ${name}@DIGEST`,
      },
    );
  return reference;
}

/** Nobody agreed to what a tag names only now. */
async function checkUnmoved({ connection, plan }: Group, options: RemoveOptions): Promise<void> {
  const { repository } = connection;
  const { signal } = options;
  const byDigest = plan.removals.some(({ kind }) => kind === "manifest");
  const names = byDigest
    ? await repository.listTags({ signal })
    : plan.removals.flatMap(({ tag }) => tag ?? []);
  const tags = await resolveTags(repository, names, { signal });
  for (const { kind, tag, digest, tags: agreed } of plan.removals) {
    const found = tag === undefined ? undefined : tags.get(tag);
    if (found !== undefined && found.digest !== digest)
      throw moved(`${repository.name}:${tag} has moved to ${found.digest} meanwhile`);
    const others =
      kind === "tag" ? [] : tagsOf(tags, digest).filter((each) => !agreed.includes(each));
    if (others.length > 0)
      throw moved(`${repository.name}@${digest} has got the tag ${others.join(", ")} meanwhile`);
  }
}

function moved(what: string): ModelError {
  return new ModelError("TAG_EXISTS", `${what}: nothing was removed`, {
    hint: "look at it, then remove it again",
  });
}

/** Tags go first: their manifests may go, too. */
function tagsFirst(removals: readonly PlannedRemoval[]): PlannedRemoval[] {
  return removals.toSorted(
    (one, other) => Number(other.kind === "tag") - Number(one.kind === "tag"),
  );
}

async function carryOut(
  repository: Repository,
  removal: PlannedRemoval,
  { signal }: RemoveOptions,
): Promise<string[]> {
  const { tag, digest, name } = removal;
  if (tag !== undefined) return (await repository.deleteTag(tag, { signal })) ? [name] : [];
  const removed: string[] = [];
  // What is attached goes before what it is attached to: a second run finds what a first one left.
  const attached = removal.withReferrers ? (removal.attached ?? []).toReversed() : [];
  for (const each of attached)
    if (await repository.deleteManifest(each.digest, { signal }))
      removed.push(`${repository.name}@${each.digest}`);
  if (await repository.deleteManifest(digest, { signal })) removed.push(name);
  if (removal.withReferrers) await removeReferrerLists(repository, [...attached, removal], signal);
  return removed;
}

/** The lists of the referrers tag schema, where there are some: they list nothing more by then. */
async function removeReferrerLists(
  repository: Repository,
  gone: readonly Pick<PlannedRemoval, "digest">[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { digest } of gone) {
    const list = await repository.resolveManifest(referrersTag(digest), { signal });
    if (list === undefined) continue;
    const content = await createManifestContents(repository).read(list.digest, { signal });
    const listed = content?.links.required ?? [];
    if (listed.every((each) => gone.some((one) => one.digest === each.digest)))
      await repository.deleteManifest(list.digest, { signal });
  }
}
