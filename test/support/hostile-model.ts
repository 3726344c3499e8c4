import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { emptyConfig, emptyConfigBytes } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";

/** A model as plain JSON, for tests that break one thing of it before they put it somewhere. */
export interface RawModel {
  readonly layerBytes: Buffer;
  index: RawIndex;
  /** Changes the manifest after the index is in it. */
  changeManifest?: (manifest: RawManifest) => void;
}

export interface RawIndex {
  schemaVersion: unknown;
  layers: { digest: string; size: number }[];
  files: { path: unknown; size: unknown; digest?: unknown; chunks: unknown }[];
}

interface RawManifest {
  schemaVersion: unknown;
  mediaType: unknown;
  artifactType?: unknown;
  config: unknown;
  layers: { mediaType: unknown; digest: unknown; size: unknown }[];
  manifests?: unknown;
}

/** A good model of one file `a.txt` in one layer. */
export function rawModel(text = "good bytes"): RawModel {
  const layerBytes = Buffer.from(text);
  const digest = digestOf(layerBytes);
  const size = layerBytes.byteLength;
  return {
    layerBytes,
    index: {
      schemaVersion: 1,
      layers: [{ digest, size }],
      files: [{ path: "a.txt", size, chunks: [[digest, size, 0, 0]] }],
    },
  };
}

/** Puts it into a layout folder under a tag, as a hostile client of a registry would. */
export async function putRawModel(
  directory: string,
  tag: string,
  model: RawModel,
): Promise<Digest> {
  await using layout = await openLayout(directory, { create: true });
  const indexBytes = Buffer.from(JSON.stringify(model.index));
  const manifest: RawManifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.imageManifest,
    artifactType: mediaTypes.model,
    config: emptyConfig,
    layers: [
      {
        mediaType: mediaTypes.chunkIndex,
        digest: digestOf(indexBytes),
        size: indexBytes.byteLength,
      },
      ...model.index.layers.map((layer) => ({ mediaType: mediaTypes.layer, ...layer })),
    ],
  };
  model.changeManifest?.(manifest);
  for (const bytes of [emptyConfigBytes, indexBytes, model.layerBytes])
    await layout.putBlob({ digest: digestOf(bytes), size: bytes.byteLength }, () => [bytes]);
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = digestOf(bytes);
  await layout.putBlob({ digest, size: bytes.byteLength }, () => [bytes]);
  // Past putManifest, which would refuse some of these: a server may be hostile too.
  const path = join(directory, "index.json");
  const index = JSON.parse(await readFile(path, "utf8")) as { manifests: unknown[] };
  const annotations = { "org.opencontainers.image.ref.name": tag };
  const mediaType = mediaTypes.imageManifest;
  index.manifests.push({ mediaType, digest, size: bytes.byteLength, annotations });
  await writeFile(path, JSON.stringify(index));
  return digest;
}
