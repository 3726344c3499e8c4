import type { ContentDigest, Digest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import {
  formatReference,
  parseReference,
  type Reference,
  repositoryName,
} from "../core/reference.ts";
import type { Selection } from "../core/selection.ts";
import { describeModel } from "../pack/metadata/describe-model.ts";
import { listDirectory } from "../source/directory-source.ts";
import { type Base, findBases, namedBase } from "./base.ts";
import {
  type CallOptions,
  type Connection,
  connect,
  emptyConnection,
  type RequestCounts,
} from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { layerBounds, totalBytes } from "./model-fits.ts";
import {
  describePush,
  missingLayers,
  type Pushed,
  type PushTarget,
  packModel,
  putModel,
} from "./packed-model.ts";
import { collectWarnings } from "./warnings.ts";

/** How often a push starts over when the registry loses blobs under it. */
const attempts = 3;

export interface PushOptions extends CallOptions, Selection {
  /** Folder, single file or Hugging Face cache folder to pack. */
  readonly source: string;
  /** Where to: `host/repository:tag` or `oci:DIR:tag`. Without a tag only the digest names it. */
  readonly reference: string;
  /** A reference whose layers to build on; false for none; by default the best of what is there. */
  readonly base?: string | false | undefined;
  readonly followLinks?: boolean | undefined;
  /** Revision of a Hugging Face cache folder. */
  readonly revision?: string | undefined;
  /** Manifest annotations; they win over the ones found in the model. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Reads, hashes and asks, but writes nothing. */
  readonly dryRun?: boolean | undefined;
  /** Rejects with TAG_EXISTS when the tag names other content. */
  readonly noOverwrite?: boolean | undefined;
}

export interface PushResult {
  /** `repository@sha256:...` */
  readonly name: string;
  readonly digest: Digest;
  readonly tag: string | undefined;
  /** What the tag named before, when that was something else. */
  readonly previousDigest: ContentDigest | undefined;
  readonly indexDigest: Digest;
  readonly treeId: string;
  readonly files: number;
  readonly chunks: number;
  readonly bytes: {
    readonly total: number;
    /** Sent (with dryRun: would be sent), layers only. */
    readonly moved: number;
    readonly reused: number;
  };
  readonly layers: { readonly total: number; readonly moved: number };
  readonly base:
    | { readonly name: string; readonly digest: Digest; readonly reusedBytes: number }
    | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  readonly requests: RequestCounts;
  /** Bounds of the registry that mattered, a sentence each. */
  readonly bounds: readonly string[];
  readonly warnings: readonly string[];
  readonly dryRun: boolean;
}

/**
 * Packs a model and puts it into a repository: layers first, the manifest last, nothing visible
 * before it is whole. Idempotent: a second run, also after a kill, sends only what is missing.
 * Rejects with a ModelError.
 */
export async function push(options: PushOptions): Promise<PushResult> {
  try {
    return await pushModel(options);
  } catch (error) {
    throw describeFailure(error, "push", options.signal);
  }
}

async function pushModel(options: PushOptions): Promise<PushResult> {
  const reference = parseReference(options.reference);
  if (reference.digest !== undefined)
    throw new ModelError("INVALID_REFERENCE", `${options.reference} names a digest`, {
      hint: "push to a tag: the digest follows from the content",
    });
  const { warnings, onProgress } = collectWarnings(options.onProgress);
  const heard = { ...options, onProgress };
  const source = await listDirectory(options.source, heard);
  const described = await describeModel(source, heard);
  for (const message of [...source.warnings, ...described.warnings])
    onProgress({ type: "warning", message });
  const annotations = { ...described.annotations, ...options.annotations };
  await using connection = await connectTarget(reference, heard);
  const { repository, limits } = connection;
  const target = { reference, repository, limits, source, annotations };
  const pushed = await pushTo(target, heard);
  const bounds = [...layerBounds(totalBytes(source), limits), ...connection.pacing];
  return { ...pushed, annotations, requests: connection.requests, bounds, warnings };
}

/** A dry run into a folder that is not there yet must not make it. */
async function connectTarget(reference: Reference, options: PushOptions): Promise<Connection> {
  const writes = options.dryRun !== true;
  try {
    return await connect(reference, { ...options, writes });
  } catch (error) {
    if (writes || reference.kind !== "layout" || !isModelError(error, "NOT_FOUND")) throw error;
    return emptyConnection(repositoryName(reference));
  }
}

async function pushTo(target: PushTarget, options: PushOptions): Promise<Pushed> {
  const { repository, reference } = target;
  const { tag } = reference;
  const replaced = tag === undefined ? undefined : await repository.resolveManifest(tag, options);
  const start = { type: "start", activity: "push", totalBytes: totalBytes(target.source) } as const;
  options.onProgress?.({ ...start, files: target.source.files.length });
  const bases = await findCandidates(target, replaced?.digest, options);
  if (options.noOverwrite === true && replaced !== undefined)
    return keepTag(target, replaced.digest, { ...options, bases });
  return pushOnto(target, { ...options, bases, replaced: replaced?.digest });
}

async function findCandidates(
  { repository, reference }: PushTarget,
  replaced: ContentDigest | undefined,
  options: PushOptions,
): Promise<Base[]> {
  if (options.base === false) return [];
  if (options.base !== undefined) return [await namedBase(options.base, reference, options)];
  return findBases(repository, replaced, options);
}

/** With noOverwrite nothing is sent unless the tag already names just this. */
async function keepTag(
  target: PushTarget,
  replaced: ContentDigest,
  options: PushOptions & { readonly bases: readonly Base[] },
): Promise<Pushed> {
  const planned = await packModel(target, { ...options, dryRun: true });
  if (planned.digest === replaced)
    return { ...describePush(target, planned), dryRun: options.dryRun === true };
  const { reference } = target;
  throw new ModelError(
    "TAG_EXISTS",
    `${formatReference(reference)} names other content, ${replaced}`,
    {
      hint: "choose another tag, or leave out --no-overwrite",
    },
  );
}

/** A registry's collector may take blobs between our asking and the manifest: then all is asked again. */
async function pushOnto(
  target: PushTarget,
  options: PushOptions & {
    readonly bases: readonly Base[];
    readonly replaced: ContentDigest | undefined;
  },
): Promise<Pushed> {
  const lost = new Set<Digest>();
  for (let attempt = 1; ; attempt += 1) {
    const packed = await packModel(target, { ...options, lost });
    if (options.dryRun === true) return { ...describePush(target, packed), dryRun: true };
    try {
      await putModel(target, packed, options);
    } catch (error) {
      if (attempt === attempts || !isModelError(error, "BLOB_UNKNOWN")) throw error;
      const { message } = error;
      options.onProgress?.({ type: "notice", message: `${message}: sending again what is gone` });
      for (const digest of await missingLayers(target, packed, options)) lost.add(digest);
      continue;
    }
    const previousDigest = options.replaced === packed.digest ? undefined : options.replaced;
    return { ...describePush(target, packed), previousDigest };
  }
}
