import {
  type ContentDigest,
  contentDigestOf,
  digestAlgorithm,
  isContentDigest,
} from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isTag } from "../../core/reference.ts";
import type { ContentDescriptor } from "../descriptor.ts";
import type { BlobBody, ByteRange, FetchedManifest, Repository } from "../repository.ts";
import { claimBlob, linkClaimed } from "./blob-age.ts";
import { type BlobFolder, createBlobFolder, type OpenedBlob, readPieces } from "./blob-folder.ts";
import { type BlobIngest, createBlobIngest, type Pieces } from "./blob-ingest.ts";
import { IndexFile } from "./index-file.ts";
import {
  findDigest,
  findTag,
  type LayoutIndex,
  listManifests,
  listTags,
  withManifest,
  withoutTag,
  withTag,
} from "./layout-index.ts";
import { LinksCache } from "./links-cache.ts";
import { checkRequired, readManifestFile, resolveUnlisted } from "./manifest-files.ts";
import { parseManifestLinks } from "./manifest-links.ts";
import { ReferrerTable } from "./referrer-table.ts";
import { readReferrersList } from "./referrers-list.ts";
import { removeBlob, removeManifest } from "./remove-content.ts";
import { createUploadFolder, type UploadFolder } from "./upload-folder.ts";

/**
 * An OCI image layout folder (image-spec 1.1, image-layout.md) as a Repository, and what the
 * embedded registry needs beyond that. Several processes may use one folder at a time.
 */
export class OciLayout implements Repository {
  readonly name: string;
  /** Absolute path. */
  readonly directory: string;
  readonly uploads: UploadFolder;
  readonly indexFile: IndexFile;
  readonly blobs: BlobFolder;
  readonly #links: LinksCache;
  readonly #referrers: ReferrerTable;

  /** For `openLayout`, which makes sure that `directory` is a layout. */
  constructor(name: string, directory: string) {
    this.name = name;
    this.directory = directory;
    this.uploads = createUploadFolder(directory);
    this.indexFile = new IndexFile(directory, this.uploads);
    this.blobs = createBlobFolder(directory);
    this.#links = new LinksCache(this.blobs);
    this.#referrers = new ReferrerTable(this.#links);
  }

  async resolveManifest(
    reference: string,
    options?: Abortable,
  ): Promise<ContentDescriptor | undefined> {
    options?.signal?.throwIfAborted();
    const index = await this.indexFile.read();
    const listed = isContentDigest(reference)
      ? findDigest(index, reference)
      : findTag(index, reference);
    if (listed === undefined)
      return isContentDigest(reference) ? resolveUnlisted(this.blobs, reference) : undefined;
    return (await this.blobs.stat(listed.digest)) === undefined ? undefined : listed;
  }

  async fetchManifest(reference: string, options?: Abortable): Promise<FetchedManifest> {
    const descriptor = await this.resolveManifest(reference, options);
    const bytes = descriptor && (await readManifestFile(this.blobs, descriptor.digest));
    if (descriptor === undefined || bytes === undefined) throw this.#noManifest(reference);
    const actual = contentDigestOf(bytes, digestAlgorithm(descriptor.digest));
    if (actual !== descriptor.digest)
      throw new ModelError(
        "DIGEST_MISMATCH",
        `manifest ${descriptor.digest} in ${this.name}: its file holds ${actual}`,
        { hint: "the folder is damaged; write the manifest again" },
      );
    return { descriptor: { ...descriptor, size: bytes.byteLength }, bytes };
  }

  async listTags(options?: Abortable): Promise<string[]> {
    options?.signal?.throwIfAborted();
    return listTags(await this.indexFile.read());
  }

  /** Also those that another program lists under the subject's tag, which may be gone. */
  async listReferrers(
    subject: ContentDigest,
    options?: Abortable & { readonly artifactType?: string | undefined },
  ): Promise<ContentDescriptor[]> {
    const described = new Map<ContentDigest, ContentDescriptor>();
    for (const found of await this.findReferrers(subject, options))
      described.set(found.digest, await this.describeReferrer(found));
    const type = options?.artifactType;
    for (const listed of await readReferrersList(this, subject, options))
      if (!described.has(listed.digest) && (type === undefined || listed.artifactType === type))
        described.set(listed.digest, listed);
    return [...described.values()];
  }

  /** Those that index.json lists, in the order of the digests, without annotations: it is quick. */
  async findReferrers(
    subject: ContentDigest,
    options?: Abortable & { readonly artifactType?: string | undefined },
  ): Promise<readonly ContentDescriptor[]> {
    options?.signal?.throwIfAborted();
    const found = await this.#referrers.find(await this.indexFile.read(), subject);
    const type = options?.artifactType;
    return type === undefined ? found : found.filter(({ artifactType }) => artifactType === type);
  }

  /** Adds the annotations of its manifest to a descriptor of `findReferrers`. */
  async describeReferrer(found: ContentDescriptor): Promise<ContentDescriptor> {
    const annotations = (await this.#links.read(found))?.annotations;
    return annotations === undefined ? found : { ...found, annotations };
  }

  /** Every manifest that index.json lists, once, tagged or not. */
  async listManifests(options?: Abortable): Promise<ContentDescriptor[]> {
    options?.signal?.throwIfAborted();
    return listManifests(await this.indexFile.read());
  }

  /** Puts it under all of `tags` besides, at once. */
  async putManifest(
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    options?: Abortable & { readonly tags?: readonly string[] | undefined },
  ): Promise<ContentDescriptor> {
    const { mediaType, bytes } = manifest;
    const { signal, tags: more = [] } = options ?? {};
    const digest = this.#checkReference(reference, bytes);
    const what = `manifest ${reference} for ${this.name}`;
    const links = parseManifestLinks(bytes, what);
    const tags = isContentDigest(reference) ? more : [reference, ...more];
    const descriptor = { mediaType, digest, size: bytes.byteLength };
    await checkRequired(this.blobs, links.required, what);
    await this.putBlob(descriptor, () => [bytes], { signal });
    const edit = async (index: LayoutIndex) => {
      // Somebody may have removed some of it while this waited; from here on nobody does.
      await checkRequired(this.blobs, links.required, what);
      if ((await this.blobs.stat(digest)) === undefined)
        await this.putBlob(descriptor, () => [bytes], { signal });
      return tags.reduce(
        (last, tag) => withTag(last, tag, descriptor),
        withManifest(index, descriptor),
      );
    };
    await this.indexFile.update(edit, { signal });
    this.#links.keep(descriptor, links);
    this.#referrers.learn(digest, links);
    return descriptor;
  }

  /** Takes a tag away; its manifest stays, by digest. False when there was no such tag. */
  async deleteTag(tag: string, options?: Abortable): Promise<boolean> {
    let deleted = false;
    const edit = (index: LayoutIndex) => {
      const after = withoutTag(index, tag);
      deleted = after !== index;
      return after;
    };
    await this.indexFile.update(edit, { signal: options?.signal });
    return deleted;
  }

  /**
   * Removes a manifest and every tag it has. False when it was not there. Rejects with
   * REGISTRY_UNSUPPORTED while another manifest needs it, such as an image index.
   */
  async deleteManifest(digest: ContentDigest, options?: Abortable): Promise<boolean> {
    return removeManifest(this.#place(), digest, options);
  }

  /**
   * Removes a blob. False when it was not there. Rejects with REGISTRY_UNSUPPORTED while a manifest
   * needs it, and for manifests. Who has opened it may read on.
   */
  async deleteBlob(digest: ContentDigest, options?: Abortable): Promise<boolean> {
    return removeBlob(this.#place(), digest, options);
  }

  async statBlob(digest: ContentDigest, options?: Abortable): Promise<number | undefined> {
    options?.signal?.throwIfAborted();
    return claimBlob(this.blobs, digest);
  }

  /** Opens a blob for reading at any position; undefined when it is not there. */
  async openBlob(digest: ContentDigest): Promise<OpenedBlob | undefined> {
    return this.blobs.open(digest);
  }

  async *readBlob(
    digest: ContentDigest,
    options?: Abortable & { readonly range?: ByteRange | undefined },
  ): AsyncGenerator<Uint8Array> {
    options?.signal?.throwIfAborted();
    await using blob = await this.blobs.open(digest);
    const what = `blob ${digest} in ${this.name}`;
    if (blob === undefined) throw new ModelError("NOT_FOUND", `${what} is not there`);
    for await (const piece of readPieces(blob, what, options?.range)) {
      options?.signal?.throwIfAborted();
      yield piece;
    }
  }

  async putBlob(
    blob: { readonly digest: ContentDigest; readonly size: number },
    body: BlobBody,
    options?: Abortable,
  ): Promise<void> {
    options?.signal?.throwIfAborted();
    // Who renamed it may have died before its sync, so being there is not yet being durable.
    if ((await claimBlob(this.blobs, blob.digest)) === blob.size)
      return this.blobs.sync(blob.digest);
    await using ingest = this.startIngest();
    await ingest.append(atMost(body(), blob, this.name), options);
    await ingest.commit(blob);
  }

  /** Starts the write of a blob whose digest may not be known yet. */
  startIngest(): BlobIngest {
    return createBlobIngest(this.name, this.uploads, this.blobs);
  }

  /** Hard-links a blob from the layout called `oci:DIR`; false when it must be written. */
  async mountBlob(
    digest: ContentDigest,
    fromRepository: string,
    options?: Abortable,
  ): Promise<boolean> {
    options?.signal?.throwIfAborted();
    if ((await claimBlob(this.blobs, digest)) !== undefined) return true;
    if (!fromRepository.startsWith("oci:")) return false;
    return this.linkBlob(digest, createBlobFolder(fromRepository.slice("oci:".length)));
  }

  /** Hard-links a blob from another layout's folder, durably; false when it must be written. */
  async linkBlob(digest: ContentDigest, from: BlobFolder): Promise<boolean> {
    return linkClaimed(this.blobs, digest, from);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.indexFile.settle();
    await this.uploads.removeIfEmpty();
  }

  #place() {
    return { name: this.name, indexFile: this.indexFile, blobs: this.blobs, links: this.#links };
  }

  #checkReference(reference: string, bytes: Uint8Array): ContentDigest {
    const algorithm = isContentDigest(reference) ? digestAlgorithm(reference) : "sha256";
    const digest = contentDigestOf(bytes, algorithm);
    if (isContentDigest(reference) && reference !== digest)
      throw new ModelError(
        "DIGEST_MISMATCH",
        `manifest ${reference} for ${this.name}: the bytes given are ${digest}`,
      );
    if (!isContentDigest(reference) && !isTag(reference))
      throw new ModelError(
        "INVALID_REFERENCE",
        `${JSON.stringify(reference.slice(0, 200))} is no tag and no digest`,
      );
    return digest;
  }

  #noManifest(reference: string): ModelError {
    return new ModelError("NOT_FOUND", `${this.name} has no manifest ${reference}`, {
      hint: "list the tags that are there, or push the model first",
    });
  }
}

/** Ends a body that is too long before it fills the disk. */
async function* atMost(
  pieces: Pieces,
  blob: { readonly digest: ContentDigest; readonly size: number },
  name: string,
): AsyncGenerator<Uint8Array> {
  let taken = 0;
  for await (const piece of pieces) {
    taken += piece.byteLength;
    if (taken > blob.size)
      throw new ModelError(
        "DIGEST_MISMATCH",
        `blob ${blob.digest} for ${name}: got more than its ${blob.size} bytes`,
      );
    yield piece;
  }
}
