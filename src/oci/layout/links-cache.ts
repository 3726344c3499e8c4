import type { ContentDigest } from "../../core/digest.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import type { BlobFolder } from "./blob-folder.ts";
import { whenIdle } from "./idle.ts";
import { readManifestLinks } from "./manifest-files.ts";
import type { ManifestLinks } from "./manifest-links.ts";

/** How many bytes of manifests may be kept as links; what was used longest ago goes first. */
const maxKeptBytes = 16_777_216;
/** What an entry weighs at least. */
const entryBytes = 512;

interface Kept {
  readonly links: ManifestLinks;
  readonly bytes: number;
}

/** The links of a layout's manifests; kept by digest, as content by digest never changes. */
export class LinksCache {
  readonly #blobs: BlobFolder;
  readonly #kept = new Map<ContentDigest, Kept>();
  readonly #use: () => void = whenIdle(() => this.#forget());
  #bytes = 0;

  constructor(blobs: BlobFolder) {
    this.#blobs = blobs;
  }

  /** Undefined when the blob is not there, or no manifest. */
  async read({ digest, size }: ContentDescriptor): Promise<ManifestLinks | undefined> {
    const kept = this.#kept.get(digest);
    const links = kept?.links ?? (await readManifestLinks(this.#blobs, digest));
    if (links !== undefined) this.keep({ digest, size }, links);
    return links;
  }

  /** Keeps the links of a manifest that was just used. */
  keep({ digest, size }: Pick<ContentDescriptor, "digest" | "size">, links: ManifestLinks): void {
    this.#drop(digest);
    const bytes = Math.max(size, entryBytes);
    this.#kept.set(digest, { links, bytes });
    this.#bytes += bytes;
    for (const [oldest] of this.#kept) {
      if (this.#bytes <= maxKeptBytes) break;
      this.#drop(oldest);
    }
    this.#use();
  }

  #drop(digest: ContentDigest): void {
    this.#bytes -= this.#kept.get(digest)?.bytes ?? 0;
    this.#kept.delete(digest);
  }

  #forget(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }
}
