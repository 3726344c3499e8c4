import { forEachConcurrently } from "../../core/concurrently.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import { readReferrersTag } from "../../oci/referrers-tag.ts";
import { defaultTag, missingTag } from "../resolve.ts";
import type { ManifestBytes } from "./manifest-bytes.ts";
import { choosePlatform } from "./platform.ts";
import type { Side } from "./side.ts";

/** A manifest that somebody named, resolved once: from here on only its digest counts. */
export interface NamedManifest {
  readonly digest: ContentDigest;
  /** The tag of the source that it was found by, and what that named. */
  readonly from: { readonly tag: string; readonly digest: ContentDigest } | undefined;
  /** The tag that it gets. */
  readonly tag: string | undefined;
  /** What that tag names at the target now, when that is something else. */
  readonly previousDigest: ContentDigest | undefined;
}

export interface NameOptions extends RunOptions {
  readonly source: Side;
  readonly target: Side;
  readonly manifests: ManifestBytes;
  /** A digest of the source that is not sha256, which references do not hold. */
  readonly digest: ContentDigest | undefined;
  readonly allTags: boolean;
  readonly platform: string | undefined;
  readonly noOverwrite: boolean;
  readonly connections: number;
}

/**
 * Finds what is to be copied and where to. Rejects with NOT_FOUND naming the source, and with
 * TAG_EXISTS where a tag names other content and may not be moved.
 */
export async function findNames(options: NameOptions): Promise<NamedManifest[]> {
  const wanted = options.allTags ? await allTags(options) : [await oneName(options)];
  const found: NamedManifest[] = [];
  await forEachConcurrently(wanted.entries(), options.connections, async ([at, name]) => {
    const named = await resolve(name, options);
    if (named !== undefined) found[at] = named;
  });
  return found.filter((named) => named !== undefined);
}

interface Wanted {
  readonly digest: ContentDigest | undefined;
  readonly from: string | undefined;
  readonly tag: string | undefined;
}

async function oneName({ source, target, digest: long }: NameOptions): Promise<Wanted> {
  const { tag: named, digest = long } = source.reference;
  const from = digest === undefined ? (named ?? defaultTag) : undefined;
  return { digest, from, tag: target.reference.tag ?? named ?? from };
}

/** Tags made of digests are no names: what they mean goes along with what they hang on. */
async function allTags({ source, signal }: NameOptions): Promise<Wanted[]> {
  const { repository } = source;
  const tags = await source.on(() => repository.listTags({ signal }));
  const names = tags.filter((tag) => readReferrersTag(tag) === undefined);
  if (names.length === 0)
    throw new ModelError("NOT_FOUND", `source ${repository.name} has no tags`, {
      hint: "check the repository's name and your credentials",
    });
  return names.map((tag) => ({ digest: undefined, from: tag, tag }));
}

async function resolve(name: Wanted, options: NameOptions): Promise<NamedManifest | undefined> {
  const { source, target, signal, platform } = options;
  const { tag, from } = name;
  const top = name.digest ?? (await resolveTag(from ?? defaultTag, options));
  if (top === undefined) return undefined;
  const digest = platform === undefined ? top : await choosePlatform(top, platform, options);
  const named = { digest, from: from === undefined ? undefined : { tag: from, digest: top }, tag };
  if (tag === undefined) return { ...named, previousDigest: undefined };
  const { repository } = target;
  const held = await target.on(() => repository.resolveManifest(tag, { signal }));
  const previousDigest = held?.digest === digest ? undefined : held?.digest;
  if (options.noOverwrite && previousDigest !== undefined)
    throw new ModelError(
      "TAG_EXISTS",
      `target ${repository.name}:${tag} names other content, ${previousDigest}, than source ${source.repository.name}, ${digest}`,
      { hint: "choose another tag, or leave out --no-overwrite" },
    );
  return { ...named, previousDigest };
}

/** Undefined for one of many tags that went after they were listed. */
async function resolveTag(
  tag: string,
  { source, signal, allTags: isOneOfMany, onProgress }: NameOptions,
): Promise<ContentDigest | undefined> {
  const { repository } = source;
  const found = await source.on(() => repository.resolveManifest(tag, { signal }));
  if (found !== undefined) return found.digest;
  if (!isOneOfMany) throw source.blame(await missingTag(repository, tag, { signal }));
  const message = `source ${repository.name}: tag ${tag} went away meanwhile: left out`;
  onProgress?.({ type: "warning", message });
  return undefined;
}

/** Warns of tags of the source that name something else by now: what they named before was copied. */
export async function warnOfMovedTags(
  names: readonly NamedManifest[],
  options: RunOptions & { readonly source: Side; readonly connections: number },
): Promise<void> {
  const { source, signal, onProgress } = options;
  const { repository } = source;
  await forEachConcurrently(names, options.connections, async ({ from }) => {
    if (from === undefined) return;
    const { tag, digest } = from;
    const found = await source.on(() => repository.resolveManifest(tag, { signal }));
    if (found?.digest === digest) return;
    const now = found === undefined ? "is gone" : `moved to ${found.digest}`;
    const message = `source ${repository.name}: tag ${tag} ${now} meanwhile; ${digest} was copied`;
    onProgress?.({ type: "warning", message });
  });
}
