import { forEachConcurrently } from "../../core/concurrently.ts";
import { type ContentDigest, isDigest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import type { BlobMoves } from "./blob-moves.ts";
import { type Graph, inWaves, type ManifestNode } from "./graph.ts";
import { readLinks } from "./links.ts";
import type { ManifestBytes } from "./manifest-bytes.ts";
import type { Side } from "./side.ts";

export interface ManifestPutOptions extends RunOptions {
  readonly target: Side;
  readonly graph: Graph;
  readonly manifests: ManifestBytes;
  readonly moves: BlobMoves;
  /** Requests at once. */
  readonly connections: number;
}

/** Puts manifests where all they name is. */
export interface ManifestPuts {
  /** Manifests that were sent, by role. */
  readonly moved: Record<ManifestNode["role"], number>;
  /**
   * Puts a manifest and all that it leads to: children before parents, referrers after what they
   * refer to, the tag last of all. What blobs they name is there, or is sent again once when the
   * target has lost it meanwhile.
   */
  put(top: ContentDigest, tag: string | undefined): Promise<void>;
}

/** Starts with none put. */
export function createManifestPuts(options: ManifestPutOptions): ManifestPuts {
  const { target, graph, manifests, moves, signal, onProgress } = options;
  const moved = { named: 0, child: 0, referrer: 0 };
  const done = new Set<ContentDigest>();
  const listed = new Map<ContentDigest, Promise<ReadonlySet<ContentDigest>>>();

  async function send(node: ManifestNode, reference: string): Promise<void> {
    const { digest } = node.descriptor;
    const { bytes, descriptor } = await manifests.fetch(digest, { signal });
    const { mediaType } = descriptor;
    const put = () =>
      target.on(() => target.repository.putManifest(reference, { mediaType, bytes }, { signal }));
    try {
      await put();
    } catch (error) {
      if (!isModelError(error, "BLOB_UNKNOWN")) throw error;
      onProgress?.({ type: "notice", message: `${error.message}: sending again what is gone` });
      await sendLost(digest);
      await put();
    }
  }

  /** What the target had when it was asked, and what that names, may be gone since. */
  async function sendLost(digest: ContentDigest): Promise<void> {
    const { bytes } = await manifests.fetch(digest, { signal });
    const links = readLinks(bytes, `manifest ${digest}`);
    await moves.bringAgain(links.blobs);
    for (const { digest: child } of links.manifests) {
      const node = graph.get(child);
      if (node === undefined || (await holds(child))) continue;
      await sendLost(child);
      await send(node, child);
    }
  }

  async function holds(reference: string): Promise<boolean> {
    const found = await target.on(() => target.repository.resolveManifest(reference, { signal }));
    return found !== undefined;
  }

  /** A kill between a referrer and its place in a list, where the client keeps that, heals here. */
  async function isListed({ descriptor, subject }: ManifestNode): Promise<boolean> {
    if (subject === undefined) return true;
    let asked = listed.get(subject);
    if (asked === undefined) {
      asked = target
        .on(() => target.repository.listReferrers(subject, { signal }))
        .then((found) => new Set(found.map(({ digest }) => digest)));
      listed.set(subject, asked);
    }
    return (await asked).has(descriptor.digest);
  }

  async function putNode(node: ManifestNode): Promise<void> {
    const { digest } = node.descriptor;
    if (done.has(digest)) return;
    if (!node.isThere) moved[node.role] += 1;
    if (!node.isThere || !(await isListed(node))) await send(node, digest);
    done.add(digest);
  }

  async function putTag(tag: string, digest: ContentDigest): Promise<void> {
    const { repository } = target;
    const node = graph.get(digest);
    const held = await target.on(() => repository.resolveManifest(tag, { signal }));
    if (node === undefined || held?.digest === digest) return;
    await send(node, tag);
    if (isDigest(digest)) return;
    const named = await target.on(() => repository.resolveManifest(tag, { signal }));
    if (named?.digest === digest) return;
    const message = `target ${repository.name}: tag ${tag} has the digest ${named?.digest}; the same bytes are there as ${digest}`;
    onProgress?.({ type: "warning", message });
  }

  /** Nothing has to be there between such a manifest and its tag, so one request puts both. */
  function becomesVisibleAlone(top: ContentDigest): boolean {
    const node = graph.get(top);
    if (node === undefined || node.isThere || done.has(top) || !isDigest(top)) return false;
    return node.referrers.length === 0 && node.signatures.length === 0;
  }

  function markSent(top: ContentDigest): void {
    moved.named += 1;
    done.add(top);
  }

  return {
    moved,
    async put(top, tag) {
      const waves = inWaves(graph, top);
      if (tag !== undefined && becomesVisibleAlone(top)) markSent(top);
      for (const wave of waves) await forEachConcurrently(wave, options.connections, putNode);
      for (const { signatures } of waves.flat())
        for (const each of signatures) await putTag(each.tag, each.digest);
      if (tag !== undefined) await putTag(tag, top);
    },
  };
}
