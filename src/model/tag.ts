import type { ContentDigest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { isTag, parseReference, type Reference, repositoryName } from "../core/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { type CallOptions, connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { resolveAny } from "./resolve.ts";

export interface TagOptions extends CallOptions {
  /** What is tagged: any manifest, by tag or digest. */
  readonly reference: string;
  /** Tags of the same repository. */
  readonly tags: readonly string[];
  /** Rejects with TAG_EXISTS, before anything changes, when one of the tags names other content. */
  readonly noOverwrite?: boolean | undefined;
}

export interface TagResult {
  /** `repository@digest`. */
  readonly name: string;
  readonly digest: ContentDigest;
  readonly tags: readonly {
    readonly tag: string;
    /** What it named before, the same digest too; undefined for a new tag. */
    readonly previousDigest: ContentDigest | undefined;
  }[];
}

/**
 * Points tags at what a reference names: its manifest is put again, byte by byte, and nothing else
 * moves. Rejects with a ModelError; calling it again does what is left.
 */
export async function tag(options: TagOptions): Promise<TagResult> {
  try {
    const reference = parseReference(options.reference);
    checkTags(options.tags);
    const writes = reference.kind === "registry"; // A folder that is no layout is not made one.
    await using connection = await connect(reference, { ...options, writes });
    return await tagIn(connection.repository, reference, options);
  } catch (error) {
    throw describeFailure(error, "tagging", options.signal);
  }
}

async function tagIn(
  repository: Repository,
  reference: Reference,
  options: TagOptions,
): Promise<TagResult> {
  const { digest } = await resolveAny(repository, reference, options);
  const { descriptor, bytes } = await repository.fetchManifest(digest, options);
  const { mediaType } = descriptor;
  const tags: TagResult["tags"][number][] = [];
  for (const name of new Set(options.tags)) {
    const found = await repository.resolveManifest(name, options);
    tags.push({ tag: name, previousDigest: found?.digest });
  }
  const moved = tags.filter(({ previousDigest }) => previousDigest !== digest);
  const taken = moved.find(({ previousDigest }) => previousDigest !== undefined);
  if (options.noOverwrite === true && taken !== undefined)
    throw new ModelError(
      "TAG_EXISTS",
      `${repositoryName(reference)}:${taken.tag} names other content, ${taken.previousDigest}`,
      { hint: "choose another tag, or leave out --no-overwrite" },
    );
  for (const each of moved) await repository.putManifest(each.tag, { mediaType, bytes }, options);
  return { name: `${repository.name}@${digest}`, digest, tags };
}

function checkTags(tags: readonly string[]): void {
  if (tags.length === 0) throw new ModelError("INVALID_ARGUMENT", "no tag is given");
  const wrong = tags.find((each) => !isTag(each));
  if (wrong === undefined) return;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(wrong.slice(0, 200))} is no tag`, {
    hint: 'say only the tag, such as v2: up to 128 letters, digits, ".", "_" and "-"',
  });
}
