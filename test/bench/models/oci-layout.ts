import { hash } from "node:crypto";
import { link, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { emptyConfig, emptyConfigBytes } from "../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import type { ModelFiles } from "./model-files.ts";

/** A model as other programs know it: an artifact with one layer for each file. */
export interface PeerArtifact {
  readonly manifest: Buffer;
  /** sha256 of the manifest, in hex. */
  readonly hex: string;
  /** What it names, by hex digest: bytes, or the path of a file that holds them. */
  readonly blobs: ReadonlyMap<string, Buffer | string>;
}

/** Describes a model as an artifact with one layer for each file. */
export function describeArtifact(model: ModelFiles): PeerArtifact {
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      artifactType: "application/vnd.example.model",
      config: emptyConfig,
      layers: model.files.map(({ path, size, hex }) => ({
        mediaType: "application/octet-stream",
        digest: `sha256:${hex}`,
        size,
        annotations: { "org.opencontainers.image.title": path },
      })),
    }),
  );
  const blobs = new Map<string, Buffer | string>();
  blobs.set(hash("sha256", emptyConfigBytes, "hex"), emptyConfigBytes);
  for (const { hex, path } of model.files) blobs.set(hex, join(model.folder, path));
  return { manifest, hex: hash("sha256", manifest, "hex"), blobs };
}

/** Writes it as an OCI layout folder with one tag; files are hard links to the model's. */
export async function writeOciLayout(
  folder: string,
  artifact: PeerArtifact,
  tag: string,
): Promise<void> {
  const blobs = join(folder, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  for (const [hex, content] of [...artifact.blobs, [artifact.hex, artifact.manifest] as const])
    await putFile(join(blobs, hex), content);
  const descriptor = {
    mediaType: mediaTypes.imageManifest,
    digest: `sha256:${artifact.hex}`,
    size: artifact.manifest.byteLength,
    annotations: { "org.opencontainers.image.ref.name": tag },
  };
  const index = { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests: [descriptor] };
  await writeFile(join(folder, "index.json"), JSON.stringify(index));
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/** Puts it into the storage folder of distribution, as a push would; files are hard links. */
export async function seedRegistry(
  root: string,
  name: { readonly repository: string; readonly tag: string },
  artifact: PeerArtifact,
): Promise<void> {
  const registry = join(root, "docker/registry/v2");
  const repository = join(registry, "repositories", name.repository);
  const digest = `sha256:${artifact.hex}`;
  for (const [hex, content] of [...artifact.blobs, [artifact.hex, artifact.manifest] as const]) {
    await put(join(registry, "blobs/sha256", hex.slice(0, 2), hex, "data"), content);
    if (hex !== artifact.hex)
      await put(join(repository, "_layers/sha256", hex, "link"), Buffer.from(`sha256:${hex}`));
  }
  const manifests = join(repository, "_manifests");
  const tag = join(manifests, "tags", name.tag);
  for (const path of [
    join(manifests, "revisions/sha256", artifact.hex, "link"),
    join(tag, "current/link"),
    join(tag, "index/sha256", artifact.hex, "link"),
  ])
    await put(path, Buffer.from(digest));
}

async function put(path: string, content: Buffer | string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await putFile(path, content);
}

async function putFile(path: string, content: Buffer | string): Promise<void> {
  if (typeof content === "string") await link(content, path).catch(ignoreExisting);
  else await writeFile(path, content);
}

/** Two versions of a model share files. */
function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
