import { type Digest, digestOf, isDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isTag } from "../../core/reference.ts";
import type { Descriptor } from "../descriptor.ts";
import type { BlobBody, ByteRange, FetchedManifest, Repository } from "../repository.ts";
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
  withoutManifest,
  withoutTag,
  withTag,
} from "./layout-index.ts";
import {
  checkRequired,
  isNamedByIndex,
  readManifestFile,
  resolveUnlisted,
} from "./manifest-files.ts";
import { parseManifestLinks } from "./manifest-links.ts";
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

  /** For `openLayout`, which makes sure that `directory` is a layout. */
  constructor(name: string, directory: string) {
    this.name = name;
    this.directory = directory;
    this.uploads = createUploadFolder(directory);
    this.indexFile = new IndexFile(directory, this.uploads);
    this.blobs = createBlobFolder(directory);
  }

  async resolveManifest(reference: string, options?: Abortable): Promise<Descriptor | undefined> {
    options?.signal?.throwIfAborted();
    const index = await this.indexFile.read();
    const listed = isDigest(reference) ? findDigest(index, reference) : findTag(index, reference);
    if (listed === undefined)
      return isDigest(reference) ? resolveUnlisted(this.blobs, reference) : undefined;
    return (await this.blobs.stat(listed.digest)) === undefined ? undefined : listed;
  }

  async fetchManifest(reference: string, options?: Abortable): Promise<FetchedManifest> {
    const descriptor = await this.resolveManifest(reference, options);
    const bytes = descriptor && (await readManifestFile(this.blobs, descriptor.digest));
    if (descriptor === undefined || bytes === undefined) throw this.#noManifest(reference);
    const actual = digestOf(bytes);
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

  /** Every manifest that index.json lists, once, tagged or not. */
  async listManifests(options?: Abortable): Promise<Descriptor[]> {
    options?.signal?.throwIfAborted();
    return listManifests(await this.indexFile.read());
  }

  async putManifest(
    reference: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    options?: Abortable,
  ): Promise<Descriptor> {
    const { mediaType, bytes } = manifest;
    const digest = this.#checkReference(reference, bytes);
    const what = `manifest ${reference} for ${this.name}`;
    const { required } = parseManifestLinks(bytes, what);
    const descriptor = { mediaType, digest, size: bytes.byteLength };
    await this.indexFile.update(async (index) => {
      await checkRequired(this.blobs, required, what);
      await this.putBlob(descriptor, () => [bytes], options);
      return isDigest(reference)
        ? withManifest(index, descriptor)
        : withTag(index, reference, descriptor);
    }, options);
    return descriptor;
  }

  /** Takes a tag away; its manifest stays, by digest. False when there was no such tag. */
  async deleteTag(tag: string, options?: Abortable): Promise<boolean> {
    return this.#edit((index) => withoutTag(index, tag), options);
  }

  /** Removes a manifest and every tag it has. False when index.json did not list it. */
  async deleteManifest(digest: Digest, options?: Abortable): Promise<boolean> {
    return this.#edit(async (index) => {
      const rest = withoutManifest(index, digest);
      if (rest === index) return index;
      const kept = listManifests(rest);
      if (!(await isNamedByIndex(this.blobs, digest, kept))) await this.blobs.remove(digest);
      return rest;
    }, options);
  }

  async statBlob(digest: Digest, options?: Abortable): Promise<number | undefined> {
    options?.signal?.throwIfAborted();
    return this.blobs.stat(digest);
  }

  /** Opens a blob for reading at any position; undefined when it is not there. */
  async openBlob(digest: Digest): Promise<OpenedBlob | undefined> {
    return this.blobs.open(digest);
  }

  async *readBlob(
    digest: Digest,
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
    blob: { readonly digest: Digest; readonly size: number },
    body: BlobBody,
    options?: Abortable,
  ): Promise<void> {
    options?.signal?.throwIfAborted();
    // Who renamed it may have died before its sync, so being there is not yet being durable.
    if ((await this.blobs.stat(blob.digest)) === blob.size) return this.blobs.sync();
    await using ingest = this.startIngest();
    await ingest.append(atMost(body(), blob, this.name), options);
    await ingest.commit(blob);
  }

  /** Starts the write of a blob whose digest may not be known yet. */
  startIngest(): BlobIngest {
    return createBlobIngest(this.name, this.uploads, this.blobs);
  }

  /** Hard-links a blob from the layout called `oci:DIR`; false when it must be written. */
  async mountBlob(digest: Digest, fromRepository: string, options?: Abortable): Promise<boolean> {
    options?.signal?.throwIfAborted();
    if ((await this.blobs.stat(digest)) !== undefined) return true;
    if (!fromRepository.startsWith("oci:")) return false;
    return this.linkBlob(digest, createBlobFolder(fromRepository.slice("oci:".length)));
  }

  /** Hard-links a blob from another layout's folder, durably; false when it must be written. */
  async linkBlob(digest: Digest, from: BlobFolder): Promise<boolean> {
    return this.blobs.link(digest, from);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.uploads.removeIfEmpty();
  }

  async #edit(
    change: (index: LayoutIndex) => LayoutIndex | Promise<LayoutIndex>,
    options: Abortable | undefined,
  ): Promise<boolean> {
    let changed = false;
    await this.indexFile.update(async (index) => {
      const after = await change(index);
      changed = after !== index;
      return after;
    }, options);
    return changed;
  }

  #checkReference(reference: string, bytes: Uint8Array): Digest {
    const digest = digestOf(bytes);
    if (isDigest(reference) && reference !== digest)
      throw new ModelError(
        "DIGEST_MISMATCH",
        `manifest ${reference} for ${this.name}: the bytes given are ${digest}`,
      );
    if (!isDigest(reference) && !isTag(reference))
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
  blob: { readonly digest: Digest; readonly size: number },
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
