import { type ContentDigest, isContentDigest } from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import { readAnnotations } from "../../descriptor.ts";
import type { BlobFolder } from "../blob-folder.ts";
import type { LayoutIndex } from "../layout-index.ts";
import { isManifestType, type NamedContent, readNamedContent } from "./named-content.ts";

/** What index.json says about a manifest. */
interface Listed {
  readonly tagged: boolean;
  /** It must be possible to read what it names. */
  readonly mustRead: boolean;
}

/**
 * Follows what manifests name, and what names them as its subject. What a manifest says never
 * changes, so it is read once; one object serves one collection.
 */
export class ReachableContent {
  readonly #blobs: BlobFolder;
  readonly #names = new Map<ContentDigest, NamedContent>();

  constructor(blobs: BlobFolder) {
    this.#blobs = blobs;
  }

  /**
   * Everything that `roots` reach: what they name, and their referrers with what those name.
   * Where it is `strict`, rejects with INVALID_MANIFEST when one of them cannot tell.
   */
  async from(
    roots: Iterable<ContentDigest>,
    listed: ReadonlyMap<ContentDigest, Listed>,
    strict: boolean,
  ): Promise<Set<ContentDigest>> {
    const referrers = await this.#referrers(listed);
    const reached = new Set<ContentDigest>();
    const open = [...roots].map((digest) => ({ digest, isManifest: true, must: false }));
    const read = new Set<ContentDigest>();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { digest } = next;
      reached.add(digest);
      const entry = listed.get(digest);
      if (read.has(digest) || (!next.isManifest && entry === undefined)) continue;
      read.add(digest);
      const named = await this.names(digest, strict && (next.must || entry?.mustRead === true));
      for (const child of named?.digests ?? []) {
        const isManifest = named?.manifests.has(child) === true;
        open.push({ digest: child, isManifest, must: isManifest });
      }
      for (const referrer of referrers.get(digest) ?? [])
        open.push({ digest: referrer, isManifest: true, must: true });
    }
    return reached;
  }

  /** What a blob names; undefined when it is not there. */
  async names(digest: ContentDigest, must: boolean): Promise<NamedContent | undefined> {
    const known = this.#names.get(digest);
    if (known?.isManifest === true || (known !== undefined && !must)) return known;
    const found = await readNamedContent(this.#blobs, digest, must);
    if (found !== undefined) this.#names.set(digest, found);
    return found;
  }

  async #referrers(
    listed: ReadonlyMap<ContentDigest, Listed>,
  ): Promise<Map<ContentDigest, ContentDigest[]>> {
    const referrers = new Map<ContentDigest, ContentDigest[]>();
    for (const digest of listed.keys()) {
      const subject = (await this.names(digest, false))?.subject;
      if (subject === undefined) continue;
      const others = referrers.get(subject) ?? [];
      referrers.set(subject, [...others, digest]);
    }
    return referrers;
  }
}

/**
 * The manifests of index.json; whatever has a name of any kind is tagged. Throws INVALID_MANIFEST
 * when an entry names its content in a way that is not understood.
 */
export function readListed(index: LayoutIndex, name: string): Map<ContentDigest, Listed> {
  const listed = new Map<ContentDigest, Listed>();
  for (const { raw, refName } of index.entries) {
    const digest = raw["digest"];
    if (!isContentDigest(digest))
      throw new ModelError("INVALID_MANIFEST", `${name}: index.json has an entry without a digest`);
    const before = listed.get(digest);
    listed.set(digest, {
      tagged: refName !== undefined || hasOtherName(raw) || before?.tagged === true,
      mustRead: isManifestType(raw["mediaType"]),
    });
  }
  return listed;
}

/** containerd's `save` names images this way, sometimes only so. */
function hasOtherName(raw: Readonly<Record<string, unknown>>): boolean {
  return readAnnotations(raw["annotations"])?.["io.containerd.image.name"] !== undefined;
}
