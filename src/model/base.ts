import { type ContentDigest, type Digest, isDigest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import { compareNaturally } from "../core/natural-order.ts";
import type { Abortable } from "../core/progress.ts";
import { parseReference, type Reference, repositoryName } from "../core/reference.ts";
import { hasSha256 } from "../oci/descriptor.ts";
import { readReferrersTag } from "../oci/referrers-tag.ts";
import type { Repository } from "../oci/repository.ts";
import { type CallOptions, connect } from "./connection.ts";
import { fetchModel, type ResolvedModel, resolveDigest } from "./resolve.ts";

/** A model whose layers a push may build on. */
export interface Base {
  readonly model: ResolvedModel;
  /** The repository its layers must be mounted from; undefined when they are in the target. */
  readonly mountFrom: string | undefined;
}

/** How many of a repository's tags are looked at. */
const candidates = 3;

/** The base that `--base REF` names. Rejects when it is not on the target's host. */
export async function namedBase(
  text: string,
  target: Reference,
  options: CallOptions,
): Promise<Base> {
  const reference = parseReference(text);
  const sameHost =
    reference.kind === "registry" && target.kind === "registry"
      ? reference.host === target.host
      : repositoryName(reference) === repositoryName(target);
  if (!sameHost)
    throw new ModelError("INVALID_ARGUMENT", `base ${text} is not where the model is pushed to`, {
      hint: "layers are shared inside one registry only: name a base there, or use --no-base",
    });
  await using connection = await connect(reference, options);
  const { repository } = connection;
  const digest = await resolveDigest(repository, reference, options);
  const model = await fetchModel(repository, digest, options);
  const same = repositoryName(reference) === repositoryName(target);
  const from = reference.kind === "registry" && !same ? reference.repository : undefined;
  return { model, mountFrom: from };
}

/**
 * Models a push could build on when nobody named one: what the tag names now, else the newest
 * three tags, by version order. What is no Ballast model is passed over.
 */
export async function findBases(
  repository: Repository,
  replaced: ContentDigest | undefined,
  options: Abortable,
): Promise<Base[]> {
  const before =
    replaced === undefined || !isDigest(replaced)
      ? []
      : await fetchBases(repository, [replaced], options);
  if (before.length > 0) return before;
  return fetchBases(repository, await newestDigests(repository, options), options);
}

async function fetchBases(
  repository: Repository,
  digests: readonly Digest[],
  options: Abortable,
): Promise<Base[]> {
  const models = await Promise.all(
    digests.map((digest) => fetchModel(repository, digest, options).catch(undefinedIfNoModel)),
  );
  return models.flatMap((model) => (model === undefined ? [] : [{ model, mountFrom: undefined }]));
}

/** The base that shares the most bytes with the chunks; undefined when none shares any. */
export function bestBase(
  bases: readonly Base[],
  chunks: readonly { readonly digest: Digest; readonly size: number }[],
): Base | undefined {
  const sizes = new Map(chunks.map(({ digest, size }) => [digest, size]));
  const shared = bases.map(({ model }) => {
    const there = new Set(model.index.files.flatMap((file) => file.chunks.map((c) => c.digest)));
    return [...sizes].reduce((sum, [digest, size]) => sum + (there.has(digest) ? size : 0), 0);
  });
  const most = Math.max(0, ...shared);
  return most === 0 ? undefined : bases[shared.indexOf(most)];
}

async function newestDigests(repository: Repository, options: Abortable): Promise<Digest[]> {
  const tags = await repository.listTags(options);
  const names = tags.filter((tag) => readReferrersTag(tag) === undefined);
  const newest = names.toSorted((one, other) => compareNaturally(other, one)).slice(0, candidates);
  const found = await Promise.all(newest.map((tag) => repository.resolveManifest(tag, options)));
  return [
    ...new Set(
      found.flatMap((descriptor) =>
        descriptor && hasSha256(descriptor) ? [descriptor.digest] : [],
      ),
    ),
  ];
}

/** A tag may name anything, or vanish meanwhile: then it is no base. */
function undefinedIfNoModel(error: unknown): undefined {
  const codes = [
    "UNSUPPORTED_ARTIFACT",
    "INVALID_MANIFEST",
    "INVALID_INDEX",
    "INVALID_PATH",
  ] as const;
  if (isModelError(error, ...codes, "NOT_FOUND", "DIGEST_MISMATCH")) return undefined;
  throw error;
}
