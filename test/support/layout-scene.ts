import { mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ContentDigest, type Digest, digestOf } from "../../src/core/digest.ts";
import type { OciLayout } from "../../src/oci/layout/layout.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";

/** Content in an OCI layout folder of a test's own, as a push leaves it. */
export interface LayoutScene extends AsyncDisposable {
  readonly directory: string;
  readonly layout: OciLayout;
  /** Writes a blob. */
  blob(text: string): Promise<Digest>;
  /** Writes a manifest with blobs of these texts; under its digest when there is no tag. */
  manifest(
    texts: readonly string[],
    options?: { readonly tag?: string; readonly subject?: Digest },
  ): Promise<Digest>;
  /** Writes an image index of manifests. */
  imageIndex(children: readonly Digest[], tag?: string): Promise<Digest>;
  /** Makes blobs look as old as that, without the layout knowing. */
  age(ageMs: number, digests?: readonly ContentDigest[]): Promise<void>;
  /** The blobs that are there, manifests too. */
  present(): Promise<string[]>;
}

/** Opens one over a new folder, or over `directory`. */
export async function openLayoutScene(directory?: string): Promise<LayoutScene> {
  const place = directory ?? (await mkdtemp(join(tmpdir(), "layout-")));
  const layout = await openLayout(place, { create: true });
  const sizes = new Map<Digest, number>();

  const blob = async (text: string) => {
    const bytes = Buffer.from(text);
    const digest = digestOf(bytes);
    await layout.putBlob({ digest, size: bytes.byteLength }, () => [bytes]);
    sizes.set(digest, bytes.byteLength);
    return digest;
  };
  const put = async (document: object, mediaType: string, tag: string | undefined) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }));
    const digest = digestOf(bytes);
    sizes.set(digest, bytes.byteLength);
    await layout.putManifest(tag ?? digest, { mediaType, bytes });
    return digest;
  };
  const describe = (digest: Digest, mediaType: string) => ({
    mediaType,
    digest,
    size: sizes.get(digest) ?? 1,
  });
  const present = async () => {
    const names = await readdir(join(place, "blobs/sha256"));
    return names.map((hex) => `sha256:${hex}`).toSorted();
  };

  return {
    directory: place,
    layout,
    blob,
    present,
    manifest: async (texts, { tag, subject } = {}) => {
      const [config = "", ...layers] = await Promise.all(texts.map(blob));
      const content = (digest: string) => describe(digest as Digest, "application/octet-stream");
      return put(
        {
          config: content(config),
          layers: layers.map(content),
          subject: subject && describe(subject, mediaTypes.imageManifest),
        },
        mediaTypes.imageManifest,
        tag,
      );
    },
    imageIndex: (children, tag) => {
      const manifests = children.map((child) => describe(child, mediaTypes.imageManifest));
      return put({ manifests }, mediaTypes.imageIndex, tag);
    },
    age: async (ageMs, digests) => {
      const then = (Date.now() - ageMs) / 1000;
      for (const digest of digests ?? (await present()))
        await utimes(join(place, "blobs", digest.replace(":", "/")), then, then);
    },
    [Symbol.asyncDispose]: async () => {
      await layout[Symbol.asyncDispose]();
      await rm(place, { recursive: true, force: true });
    },
  };
}
