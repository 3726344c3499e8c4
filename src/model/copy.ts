import { checkCount } from "../core/count.ts";
import type { ContentDigest } from "../core/digest.ts";
import type { CallOptions, ConnectionOptions, RequestCounts } from "./connection.ts";
import { createBlobMoves } from "./copy/blob-moves.ts";
import { checkLimits } from "./copy/check-limits.ts";
import { readEnds } from "./copy/ends.ts";
import { type Graph, inWaves, walkGraph } from "./copy/graph.ts";
import type { LinkedBlob } from "./copy/links.ts";
import { createManifestBytes } from "./copy/manifest-bytes.ts";
import { createManifestPuts } from "./copy/manifest-puts.ts";
import { findNames, type NamedManifest, warnOfMovedTags } from "./copy/names.ts";
import { openSource, openTarget, type Side } from "./copy/side.ts";
import { createSignatureTags } from "./copy/signature-tags.ts";
import { createBlobTally, type Outcomes } from "./copy/tally.ts";
import { describeFailure } from "./failure.ts";
import { collectWarnings } from "./warnings.ts";

/** Blobs under way at once, and requests, when nothing else is asked for. */
const defaultConnections = 4;

export interface CopyOptions
  extends Omit<CallOptions, "credentials" | "plainHttp" | "registryProfile"> {
  /** What to copy: `host/repository:tag`, `...@digest` or `oci:DIR:tag`; with `allTags` without a tag. */
  readonly source: string;
  /** Where to. Without a tag it gets the source's. */
  readonly target: string;
  /** How to reach the source, where that is not how to reach the target. */
  readonly from?: ConnectionOptions | undefined;
  /** How to reach the target. */
  readonly to?: ConnectionOptions | undefined;
  /** Every tag of the source. */
  readonly allTags?: boolean | undefined;
  /** Signatures and all else that refers to what is copied. Default true. */
  readonly referrers?: boolean | undefined;
  /** Of an index only the manifest for this `os/architecture[/variant]`, whose digest is another one. */
  readonly platform?: string | undefined;
  /** Asks both sides, but writes nothing. */
  readonly dryRun?: boolean | undefined;
  /** Rejects with TAG_EXISTS, before anything is sent, when a tag of the target names other content. */
  readonly noOverwrite?: boolean | undefined;
}

/** One manifest that was named, and where it is now. */
export interface CopiedManifest {
  /** `repository@digest` at the source. */
  readonly source: string;
  /** `repository@digest` at the target. */
  readonly name: string;
  readonly digest: ContentDigest;
  readonly tag: string | undefined;
  /** What the tag named before, when that was something else. */
  readonly previousDigest: ContentDigest | undefined;
}

export interface CopyResult {
  /** In the order of the source's tags; one without `allTags`. */
  readonly copies: readonly CopiedManifest[];
  /** Those named and those that indexes name; `moved` were not at the target (with dryRun: are not). */
  readonly manifests: { readonly total: number; readonly moved: number };
  /** What refers to these, and what refers to that. */
  readonly referrers: { readonly total: number; readonly moved: number };
  /** Of manifests that moved. `leftOut` are layers that the source only says where else to find. */
  readonly blobs: Readonly<Outcomes>;
  readonly bytes: Readonly<Outcomes>;
  readonly requests: { readonly source: RequestCounts; readonly target: RequestCounts };
  /** Bounds of the registries that mattered, a sentence each. */
  readonly bounds: readonly string[];
  readonly warnings: readonly string[];
  readonly dryRun: boolean;
}

/**
 * Copies manifests from one repository to another as they are, with all they name and all that refers
 * to them; digests do not change. Only what is missing moves: blobs first, then manifests, what names
 * others after those, referrers after what they refer to, the tag last. Idempotent: a second run, also
 * after a kill, moves only what is missing. Rejects with a ModelError that names source or target.
 */
export async function copy(options: CopyOptions): Promise<CopyResult> {
  try {
    return await copyBetween(options);
  } catch (error) {
    throw describeFailure(error, "copy", options.signal);
  }
}

async function copyBetween(options: CopyOptions): Promise<CopyResult> {
  const { warnings, onProgress } = collectWarnings(options.onProgress);
  const heard = { ...options, onProgress };
  const dryRun = options.dryRun === true;
  const connections = checkCount(
    "connections",
    options.transfer?.connections ?? defaultConnections,
  );
  const ends = readEnds(heard);
  await using source = await openSource(ends.source, { ...heard, ...ends.from });
  await using target = await openTarget(ends.target, { ...heard, ...ends.to, dryRun });
  const work: Work = { ...heard, dryRun, connections, source, target, digest: ends.digest };
  const copied = await copyAll(work);
  const requests = { source: source.connection.requests, target: target.connection.requests };
  const bounds = [source, target].flatMap(({ role, connection }) =>
    connection.pacing.map((reason) => `${role}: ${reason}`),
  );
  return { ...copied, requests, bounds, warnings, dryRun };
}

interface Work extends Omit<CopyOptions, "source" | "target"> {
  readonly source: Side;
  readonly target: Side;
  readonly digest: ContentDigest | undefined;
  readonly dryRun: boolean;
  readonly connections: number;
}

async function copyAll(
  work: Work,
): Promise<Omit<CopyResult, "requests" | "bounds" | "warnings" | "dryRun">> {
  const { source, target, signal, onProgress, referrers = true } = work;
  const manifests = createManifestBytes(source);
  const choices = { allTags: work.allTags === true, noOverwrite: work.noOverwrite === true };
  const names = await findNames({ ...work, ...choices, manifests, platform: work.platform });
  const signatureTags = referrers ? createSignatureTags(source, { signal, onProgress }) : undefined;
  const digests = names.map(({ digest }) => digest);
  const graph = await walkGraph(digests, { ...work, manifests, signatureTags });
  checkLimits(graph, target);
  const blobs = new Map([...graph.values()].flatMap((node) => node.blobs).map(byDigest));
  const tally = createBlobTally(blobs, onProgress);
  const failed = new AbortController();
  const signals = [failed.signal, ...(signal === undefined ? [] : [signal])];
  await using moves = createBlobMoves({ ...work, tally, signal: AbortSignal.any(signals) });
  const puts = createManifestPuts({ ...work, graph, manifests, moves });
  try {
    const arrivals = names.map((name) => moves.bring(blobsOf(graph, name)));
    // Each is told when its turn comes.
    for (const arrival of arrivals) arrival.catch(() => undefined);
    for (const [at, { digest, tag }] of names.entries()) {
      await arrivals[at];
      if (!work.dryRun) await puts.put(digest, tag);
    }
    if (tally.blobs.moved > 0) await warnOfMovedTags(names, work);
  } catch (error) {
    failed.abort(error);
    throw error;
  }
  const nodes = [...graph.values()];
  const count = (isReferrer: boolean) => {
    const these = nodes.filter(({ role }) => (role === "referrer") === isReferrer);
    return { total: these.length, moved: these.filter(({ isThere }) => !isThere).length };
  };
  return {
    copies: names.map((name) => describe(name, work)),
    manifests: count(false),
    referrers: count(true),
    blobs: tally.blobs,
    bytes: tally.bytes,
  };
}

function byDigest(blob: LinkedBlob): [ContentDigest, LinkedBlob] {
  return [blob.digest, blob];
}

/** Every blob that a manifest leads to, in the order in which manifests will need them. */
function blobsOf(graph: Graph, { digest }: NamedManifest): LinkedBlob[] {
  const nodes = inWaves(graph, digest).flat();
  return [...new Map(nodes.flatMap(({ blobs }) => blobs).map(byDigest)).values()];
}

function describe(name: NamedManifest, { source, target }: Work): CopiedManifest {
  const { digest, tag, previousDigest } = name;
  return {
    source: `${source.repository.name}@${digest}`,
    name: `${target.repository.name}@${digest}`,
    digest,
    tag,
    previousDigest,
  };
}
