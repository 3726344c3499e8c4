import type { ContentDigest } from "../../core/digest.ts";

/** `here` is the repository that is checked, `other` the one that layers are mounted from. */
export type Where = "here" | "other";

/** What a check wrote, noted before it is sent, so that all of it can be taken back. */
export interface Ledger {
  readonly blobs: ReadonlySet<Written>;
  readonly manifests: ReadonlySet<Written>;
  readonly tags: ReadonlySet<string>;
  /** Upload sessions that are open. */
  readonly uploads: Set<OpenUpload>;
  noteBlob(written: Written): void;
  noteManifest(written: Written): void;
  noteTag(tag: string): void;
}

export interface Written {
  readonly digest: ContentDigest;
  /** Bytes. */
  readonly size: number;
  readonly where: Where;
}

/** An upload session; each answer may move it. */
export interface OpenUpload {
  url: URL;
  readonly where: Where;
}

export function createLedger(): Ledger {
  const blobs = new Set<Written>();
  const manifests = new Set<Written>();
  const tags = new Set<string>();
  const note = (all: Set<Written>, written: Written) => {
    const isKnown = [...all].some(
      ({ digest, where }) => digest === written.digest && where === written.where,
    );
    if (!isKnown) all.add(written);
  };
  return {
    blobs,
    manifests,
    tags,
    uploads: new Set(),
    noteBlob: (written) => note(blobs, written),
    noteManifest: (written) => note(manifests, written),
    noteTag: (tag) => void tags.add(tag),
  };
}
