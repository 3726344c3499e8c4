import { forEachConcurrently } from "../../core/concurrently.ts";
import { checkCount } from "../../core/count.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import type { ContentDescriptor } from "../../oci/descriptor.ts";
import { isIndexType } from "../../oci/manifest-types.ts";
import { type LinkedBlob, readLinks } from "./links.ts";
import type { ManifestBytes } from "./manifest-bytes.ts";
import type { Side } from "./side.ts";
import type { SignatureTags } from "./signature-tags.ts";

/** A source that names more manifests than this goes on for ever, or is better copied tag by tag. */
const maxManifests = 200_000;
/** How deep indexes and referrers of referrers may go. */
const maxDepth = 256;

/** A manifest that is to be at the target, and what goes with it. */
export interface ManifestNode {
  readonly descriptor: ContentDescriptor;
  /** What it was found by. */
  readonly role: "named" | "child" | "referrer";
  /** Whether the target has it, and so what it names, already. */
  readonly isThere: boolean;
  /** Manifests that it names; of one that is there only those of an index. */
  readonly children: readonly ContentDigest[];
  /** Blobs that it names; empty for one that is there. */
  readonly blobs: readonly LinkedBlob[];
  readonly layers: number;
  /** What it refers to; of one that was not read, what it is listed for. */
  readonly subject: ContentDigest | undefined;
  /** Manifests that refer to it. */
  readonly referrers: readonly ContentDigest[];
  /** Manifests that a tag made of its digest names. */
  readonly signatures: readonly { readonly tag: string; readonly digest: ContentDigest }[];
}

/** All that is to be at the target, by digest. */
export type Graph = ReadonlyMap<ContentDigest, ManifestNode>;

export interface GraphOptions extends RunOptions {
  readonly source: Side;
  readonly target: Side;
  readonly manifests: ManifestBytes;
  /** Undefined leaves referrers behind. */
  readonly signatureTags: SignatureTags | undefined;
  /** Requests at once. */
  readonly connections: number;
}

interface Visit {
  readonly digest: ContentDigest;
  readonly role: ManifestNode["role"];
  readonly subject?: ContentDigest | undefined;
}

/**
 * Walks from the manifests named to all they name and all that refers to any of these, in the source;
 * asks the target what it has. What it has is not read again, but for indexes, whose manifests may
 * have referrers. A referrer that is listed and not there is left out with a warning. Rejects with
 * NOT_FOUND or INVALID_MANIFEST, naming the source.
 */
export async function walkGraph(
  named: readonly ContentDigest[],
  options: GraphOptions,
): Promise<Graph> {
  const graph = new Map<ContentDigest, ManifestNode>();
  const seen = new Set(named);
  const connections = checkCount("connections", options.connections);
  let frontier: Visit[] = [...seen].map((digest) => ({ digest, role: "named" }));
  for (let depth = 0; frontier.length > 0; depth += 1) {
    const next: Visit[] = [];
    await forEachConcurrently(frontier, connections, async (visit) => {
      const node = await readNode(visit, options);
      if (node === undefined) return;
      graph.set(visit.digest, node);
      const found = [
        ...node.children.map((digest): Visit => ({ digest, role: "child" })),
        ...node.signatures.map(({ digest }): Visit => ({ digest, role: "referrer" })),
        ...node.referrers.map((digest): Visit => {
          return { digest, role: "referrer", subject: visit.digest };
        }),
      ];
      for (const each of found) {
        if (seen.has(each.digest)) continue;
        seen.add(each.digest);
        next.push(each);
      }
    });
    if (seen.size > maxManifests || depth > maxDepth)
      throw new ModelError(
        "UNSUPPORTED_ARTIFACT",
        `source ${options.source.repository.name} names more than ${maxManifests} manifests, or more than ${maxDepth} that each hang on another`,
        { hint: "copy tag by tag, or with --no-referrers" },
      );
    frontier = next;
  }
  return graph;
}

/**
 * The graph in waves: what a manifest names is in an earlier wave than itself, what refers to it in a
 * later one. Only what `from` leads to.
 */
export function inWaves(graph: Graph, from: ContentDigest): ManifestNode[][] {
  const waves: ManifestNode[][] = [];
  const heights = new Map<ContentDigest, number>();
  const place = (digest: ContentDigest, least: number): number => {
    const known = heights.get(digest);
    if (known !== undefined) return known;
    // First of all, so that no list of referrers, which nothing vouches for, leads in circles.
    heights.set(digest, least);
    const node = graph.get(digest);
    if (node === undefined) return least;
    const height = node.children.reduce((most, each) => Math.max(most, place(each, 0) + 1), least);
    heights.set(digest, height);
    waves[height] = [...(waves[height] ?? []), node];
    for (const { digest: each } of node.signatures) place(each, height + 1);
    for (const each of node.referrers) place(each, height + 1);
    return height;
  };
  place(from, 0);
  return Array.from(waves, (wave) => wave ?? []);
}

async function readNode(visit: Visit, options: GraphOptions): Promise<ManifestNode | undefined> {
  const { digest, role } = visit;
  const { target, signal } = options;
  signal?.throwIfAborted();
  const held = await target.on(() => target.repository.resolveManifest(digest, { signal }));
  try {
    const known = held !== undefined && !isIndexType(held.mediaType) ? held : undefined;
    const read = known === undefined ? await readManifest(digest, options) : withoutLinks(known);
    if (known === undefined && visit.subject !== undefined && visit.subject !== read.subject)
      return leaveOut(visit, "does not refer to it", options);
    const attached = await findReferrers(digest, options);
    const isThere = held !== undefined;
    const subject = read.subject ?? visit.subject;
    return { ...read, subject, blobs: isThere ? [] : read.blobs, role, isThere, ...attached };
  } catch (error) {
    if (role !== "referrer" || !isModelError(error, "NOT_FOUND")) throw error;
    return leaveOut(visit, "is not there", options);
  }
}

function withoutLinks(descriptor: ContentDescriptor) {
  return { descriptor, children: [], blobs: [], layers: 0, subject: undefined };
}

async function readManifest(digest: ContentDigest, options: GraphOptions) {
  const { source, manifests } = options;
  const { descriptor, bytes } = await manifests.fetch(digest, options);
  const what = `manifest ${digest} of ${source.repository.name}`;
  const { manifests: named, ...links } = await source.on(async () => readLinks(bytes, what));
  return { descriptor, ...links, children: named.map((each) => each.digest) };
}

function leaveOut({ digest, subject }: Visit, why: string, { source, onProgress }: GraphOptions) {
  const listed = `${digest} is listed as a referrer of ${subject} and ${why}: left out`;
  onProgress?.({ type: "warning", message: `source ${source.repository.name}: ${listed}` });
  return undefined;
}

async function findReferrers(
  digest: ContentDigest,
  { source, signatureTags, signal }: GraphOptions,
): Promise<Pick<ManifestNode, "referrers" | "signatures">> {
  if (signatureTags === undefined) return { referrers: [], signatures: [] };
  const { repository } = source;
  const listed = await source.on(() => repository.listReferrers(digest, { signal }));
  const signatures: { tag: string; digest: ContentDigest }[] = [];
  for (const tag of await signatureTags.of(digest)) {
    const found = await source.on(() => repository.resolveManifest(tag, { signal }));
    if (found !== undefined) signatures.push({ tag, digest: found.digest });
  }
  return { referrers: [...new Set(listed.map((each) => each.digest))], signatures };
}
