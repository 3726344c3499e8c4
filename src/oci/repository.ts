import type { ContentDigest } from "../core/digest.ts";
import type { NetworkGuard } from "../core/network/network-guard.ts";
import type { Abortable } from "../core/progress.ts";
import type { ContentDescriptor } from "./descriptor.ts";

/** A slice of a blob, in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface FetchedManifest {
  readonly descriptor: ContentDescriptor;
  readonly bytes: Buffer;
}

/**
 * Reads manifests by tag or digest. Bytes fetched by digest are already checked against it, and their
 * descriptor has that digest; by tag it has the digest that the other side keeps them under.
 */
export interface ManifestReader {
  /** Resolves a tag or digest without the body (HEAD); undefined when there is none. */
  resolveManifest(reference: string, options?: Abortable): Promise<ContentDescriptor | undefined>;
  /** Rejects with NOT_FOUND when there is none. */
  fetchManifest(reference: string, options?: Abortable): Promise<FetchedManifest>;
  /** All tags, in the order the other side lists them; empty when the repository does not exist. */
  listTags(options?: Abortable): Promise<string[]>;
}

export interface ManifestWriter {
  /**
   * Puts a manifest under a tag, or under its digest when `reference` is one. Idempotent. One with a
   * `subject` is found by `listReferrers` from then on, whatever the other side offers for that.
   * Rejects with BLOB_UNKNOWN when the other side misses a blob it names.
   */
  putManifest(
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    options?: Abortable,
  ): Promise<ContentDescriptor>;
}

/** Lists what was attached to a manifest: signatures, indexes, SBOMs. */
export interface ReferrerReader {
  /**
   * Every manifest whose `subject` is `subject`, there or not, each once, all pages
   * (distribution-spec 1.1, "Listing Referrers"): by the API, or by the referrers tag schema where
   * the other side has none. With `artifactType` only those of that type.
   */
  listReferrers(
    subject: ContentDigest,
    options?: Abortable & { readonly artifactType?: string | undefined },
  ): Promise<ContentDescriptor[]>;
}

/** Takes manifests away (distribution-spec 1.1, "Content Management"). */
export interface ManifestRemover {
  /**
   * Takes a tag away; its manifest stays, by digest. False when there was no such tag. Rejects with
   * REGISTRY_UNSUPPORTED where the other side takes away whole manifests only, or nothing.
   */
  deleteTag(tag: string, options?: Abortable): Promise<boolean>;
  /** Removes a manifest and every tag it has. False when it was not there. Rejects likewise. */
  deleteManifest(digest: ContentDigest, options?: Abortable): Promise<boolean>;
}

/** Reads blobs. */
export interface BlobReader {
  /** Size of a blob in bytes (HEAD), or undefined when it is not there. */
  statBlob(digest: ContentDigest, options?: Abortable): Promise<number | undefined>;
  /**
   * Streams one range of a blob (the whole blob without `range`): exactly `length` bytes, or it
   * rejects. NOT checked against the digest: the caller verifies chunks. The pieces are valid until
   * the next is asked for. Rejects with NOT_FOUND.
   */
  readBlob(
    digest: ContentDigest,
    options?: Abortable & { readonly range?: ByteRange | undefined },
  ): AsyncIterable<Uint8Array>;
}

/** How long the other side may be silent, in milliseconds. */
export interface Timeouts {
  /** While a connection is set up. */
  readonly connectMs: number;
  /** From a request to the end of its answer's head. */
  readonly headersMs: number;
  /** Inside a body. */
  readonly bodyMs: number;
}

/** Where plain ranged GETs over HTTP/1.1 find a blob, and on what terms. */
export interface BlobLocation {
  readonly url: URL;
  /** To send as they are, to this URL only. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM text of CAs to trust beside the system's. */
  readonly ca: readonly string[];
  readonly timeouts: Timeouts;
  /** The addresses that may be connected to. Default: all. */
  readonly guard?: NetworkGuard | undefined;
}

/** Tells others how to read blobs by themselves. */
export interface BlobLocator {
  /**
   * For one GET of a range, which it counts as a request. The registry is asked at most once per
   * blob. Undefined where `readBlob` is the only way. Rejects like `readBlob`.
   */
  locateBlob(digest: ContentDigest, options?: Abortable): Promise<BlobLocation | undefined>;
}

/** The bytes of a blob to write; called again for each attempt, so it must start over. */
export type BlobBody = () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Writes blobs. A blob is visible only once all of its bytes matched its digest. */
export interface BlobWriter {
  /** Idempotent. Rejects with DIGEST_MISMATCH when the body does not match. */
  putBlob(
    blob: { readonly digest: ContentDigest; readonly size: number },
    body: BlobBody,
    options?: Abortable,
  ): Promise<void>;
  /** Links a blob from another repository of the same host; false when it must be uploaded. */
  mountBlob(digest: ContentDigest, fromRepository: string, options?: Abortable): Promise<boolean>;
}

/** Where one plain PUT over HTTP/1.1 brings a blob, and on what terms. */
export interface BlobDestination extends BlobLocation {
  /** How long it may take to store all that was sent, in milliseconds. */
  readonly commitMs: number;
}

/** Lets others write blobs by themselves. */
export interface BlobReceiver {
  /**
   * Opens an upload that `send` brings with one PUT of all of its bytes; it resolves to the status it
   * was answered, undefined when that is not known. Resolves to whether the blob was stored; where not,
   * `putBlob` is the way. Rejects with what refuses the upload, or with what `send` threw.
   */
  receiveBlob(
    blob: { readonly digest: ContentDigest; readonly size: number },
    send: (to: BlobDestination) => Promise<number | undefined>,
    options?: Abortable,
  ): Promise<boolean>;
}

/** One repository of a registry, or one OCI layout folder: where models come from and go to. */
export interface Repository
  extends ManifestReader,
    ManifestWriter,
    ManifestRemover,
    ReferrerReader,
    BlobReader,
    BlobWriter,
    Partial<BlobLocator>,
    Partial<BlobReceiver>,
    AsyncDisposable {
  /** `host/repository` or `oci:DIR`, for messages and grants. */
  readonly name: string;
}
