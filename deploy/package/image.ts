import { createWriteStream } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { digestOf } from "../../src/core/digest.ts";
import type { ContentDescriptor, Descriptor } from "../../src/oci/descriptor.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { parseManifest, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { type Architecture, architectures } from "./architecture.ts";
import { imageContent } from "./image-content.ts";
import { copiesBelow, textFile } from "./image-file.ts";
import { type ImageLayer, packLayer, packTar } from "./layer.ts";

const configType = "application/vnd.oci.image.config.v1+json";
const layerType = "application/vnd.oci.image.layer.v1.tar+gzip";

export interface ImageOptions {
  readonly architecture: Architecture;
  readonly version: string;
}

/** What an image is called in its layout, and what it weighs. */
export interface MadeImage {
  readonly tag: string;
  readonly manifest: ContentDescriptor;
  /** Bytes of the layers as they are stored and sent. */
  readonly size: number;
}

/**
 * Makes `folder` an OCI layout with the one image of all roles; what was there goes. The same content
 * gives the same digest. `npm run build` must have run.
 */
export async function makeImage(folder: string, options: ImageOptions): Promise<MadeImage> {
  await mkdir(dirname(folder), { recursive: true });
  const scratch = await mkdtemp(`${folder}.partial-`);
  try {
    const layers: ImageLayer[] = [];
    for (const files of await imageContent(options.architecture))
      layers.push(await packLayer(files));
    const made = await writeLayout(scratch, layers, options);
    await chmod(scratch, 0o755);
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
    return made;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Writes a layout with one image as an archive for `ctr images import` and `docker load`, which before
 * version 25 wants a list of its own in it.
 */
export async function archiveImage(folder: string, tag: string, file: string): Promise<void> {
  const files = await copiesBelow(folder, "");
  const blob = ({ digest }: Descriptor) => `blobs/${digest.replace(":", "/")}`;
  await using layout = await openLayout(folder);
  const { bytes } = await layout.fetchManifest(tag);
  const { config, layers } = parseManifest(bytes, `manifest of ${folder}`);
  const entry = {
    Config: blob(config),
    RepoTags: [`ballast:${tag}`],
    Layers: layers.map(blob),
  };
  const list = textFile("manifest.json", JSON.stringify([entry]));
  await pipeline(packTar([...files, list]), createWriteStream(`${file}.partial`));
  await rename(`${file}.partial`, file);
}

async function writeLayout(
  folder: string,
  layers: readonly ImageLayer[],
  options: ImageOptions,
): Promise<MadeImage> {
  const tag = `v${options.version}`;
  const config = Buffer.from(JSON.stringify(imageConfig(layers, options)));
  const described = (mediaType: string, bytes: Buffer): Descriptor => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  });
  const manifest = {
    config: described(configType, config),
    layers: layers.map(({ bytes }) => described(layerType, bytes)),
  };
  await using layout = await openLayout(folder, { create: true });
  await layout.putBlob(manifest.config, () => [config]);
  for (const [at, descriptor] of manifest.layers.entries())
    await layout.putBlob(descriptor, () => [layers[at]?.bytes ?? Buffer.alloc(0)]);
  const bytes = serializeManifest(manifest);
  const { imageManifest: mediaType } = mediaTypes;
  const written = await layout.putManifest(tag, { mediaType, bytes });
  const size = layers.reduce((sum, layer) => sum + layer.bytes.byteLength, 0);
  return { tag, manifest: written, size };
}

/** What deploy/Dockerfile says (image-spec 1.1, config.md). It carries no time, so as to stay the same. */
function imageConfig(layers: readonly ImageLayer[], options: ImageOptions): object {
  const title = "org.opencontainers.image";
  return {
    architecture: architectures[options.architecture].image,
    os: "linux",
    config: {
      User: "64646:64646",
      Env: ["PATH=/usr/local/bin:/usr/bin:/bin"],
      Cmd: ["ballast", "--help"],
      WorkingDir: "/opt/ballast",
      Labels: {
        [`${title}.title`]: "ballast",
        [`${title}.description`]: "Model weights from a registry to an inference pod",
        [`${title}.version`]: options.version,
        [`${title}.licenses`]: "Apache-2.0",
      },
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: ["system", "node", "ballast"].map((name) => ({ created_by: `ballast: ${name}` })),
  };
}
