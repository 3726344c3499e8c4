import { forEachConcurrently } from "../../core/concurrently.ts";
import type { ContentDigest } from "../../core/digest.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import { whenIdle } from "./idle.ts";
import { type LayoutIndex, listManifests } from "./layout-index.ts";
import type { LinksCache } from "./links-cache.ts";
import type { ManifestLinks } from "./manifest-links.ts";

/** How many manifests are read at a time. */
const readers = 8;

/** How long it stays known what manifests refer to: it is little, and slow to read again. */
const knownMs = 900_000;

/** What one manifest refers to. */
interface Referral {
  readonly subject: ContentDigest | undefined;
  readonly artifactType: string | undefined;
}

/** The referrers of one state of index.json. */
interface Table {
  readonly index: LayoutIndex;
  readonly bySubject: ReadonlyMap<ContentDigest, readonly ContentDescriptor[]>;
  /** False when a manifest could not be read, and may be there the next time. */
  readonly complete: boolean;
}

/**
 * Which manifests of a layout refer to which. Each is read once, when it is first listed; what stays
 * of it is a digest and a type, so that it grows with index.json and not with the manifests.
 */
export class ReferrerTable {
  readonly #links: LinksCache;
  readonly #useTable: () => void = whenIdle(() => (this.#table = undefined));
  readonly #useKnown: () => void = whenIdle(() => this.#known.clear(), knownMs);
  #known = new Map<ContentDigest, Referral>();
  #table: Table | undefined;
  #making: { readonly index: LayoutIndex; readonly table: Promise<Table> } | undefined;

  constructor(links: LinksCache) {
    this.#links = links;
  }

  /** The manifests whose subject is `subject`, without annotations, in the order of their digests. */
  async find(index: LayoutIndex, subject: ContentDigest): Promise<readonly ContentDescriptor[]> {
    this.#useTable();
    this.#useKnown();
    const known = this.#table;
    const table = known?.index === index && known.complete ? known : await this.#refresh(index);
    return table.bySubject.get(subject) ?? [];
  }

  /** Says what a manifest refers to before anybody reads it. */
  learn(digest: ContentDigest, { subject, artifactType }: ManifestLinks): void {
    this.#useKnown();
    this.#known.set(digest, { subject: subject?.digest, artifactType });
  }

  async #refresh(index: LayoutIndex): Promise<Table> {
    if (this.#making?.index === index) return this.#making.table;
    const making = { index, table: this.#make(index) };
    this.#making = making;
    try {
      this.#table = await making.table;
      return this.#table;
    } finally {
      if (this.#making === making) this.#making = undefined;
    }
  }

  async #make(index: LayoutIndex): Promise<Table> {
    const listed = listManifests(index);
    const unknown = listed.filter(({ digest }) => !this.#known.has(digest));
    await forEachConcurrently(unknown, readers, async (manifest) => {
      const links = await this.#links.read(manifest);
      if (links !== undefined) this.learn(manifest.digest, links);
    });
    const known = new Map<ContentDigest, Referral>();
    const bySubject = new Map<ContentDigest, ContentDescriptor[]>();
    for (const { digest, mediaType, size } of listed) {
      const referral = this.#known.get(digest);
      if (referral === undefined) continue;
      known.set(digest, referral);
      const { subject, artifactType } = referral;
      if (subject === undefined) continue;
      const referrer = { mediaType, digest, size, ...(artifactType ? { artifactType } : {}) };
      const others = bySubject.get(subject);
      if (others === undefined) bySubject.set(subject, [referrer]);
      else others.push(referrer);
    }
    for (const referrers of bySubject.values())
      referrers.sort((a, b) => (a.digest < b.digest ? -1 : 1));
    this.#known = known;
    return { index, bySubject, complete: known.size === listed.length };
  }
}
