import { execFile } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import type { Digest } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import type { ImageDefaults } from "./pod-container.ts";

/** What an image says of itself (image-spec 1.1, config.md). */
interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
  };
  readonly rootfs: { readonly diff_ids: readonly Digest[] };
}

/** An image, ready for containers. */
export interface UnpackedImage extends ImageDefaults {
  readonly image: ImageConfig;
  /** What is in its root; containers get more there to mount at. */
  readonly rootNames: readonly string[];
}

/** Unpacks an image of a layout folder to `folder`, one layer over the other, with an independent tar. */
export async function unpackImage(
  layoutFolder: string,
  tag: string,
  folder: string,
): Promise<UnpackedImage> {
  await using layout = await openLayout(layoutFolder);
  const { bytes } = await layout.fetchManifest(tag);
  const manifest = parseManifest(bytes, layoutFolder);
  const config = await buffer(layout.readBlob(manifest.config.digest));
  const image: ImageConfig = JSON.parse(config.toString());
  await mkdir(folder, { recursive: true });
  for (const { digest } of manifest.layers) {
    const blob = join(layoutFolder, "blobs", digest.replace(":", "/"));
    await promisify(execFile)("tar", ["-xzpf", blob, "-C", folder]);
  }
  return {
    rootfs: folder,
    env: image.config.Env,
    workingDirectory: image.config.WorkingDir,
    image,
    rootNames: await readdir(folder),
  };
}
