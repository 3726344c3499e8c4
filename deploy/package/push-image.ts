import { digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import { formatReference, parseReference } from "../../src/core/reference.ts";
import { type ConnectionOptions, connect } from "../../src/model/connection.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { parseManifest } from "../../src/oci/manifest.ts";

/**
 * Copies an image from a layout folder to a registry, blobs that are there already excepted; resolves
 * to its reference by digest. Rejects with INVALID_ARGUMENT for a target without a tag.
 */
export async function pushImage(
  folder: string,
  tag: string,
  target: string,
  options: ConnectionOptions,
): Promise<string> {
  const reference = parseReference(target);
  if (reference.kind !== "registry" || reference.tag === undefined)
    throw new ModelError("INVALID_ARGUMENT", `${target} names no tag of a registry`, {
      hint: "for example: --push registry.example.com/infra/ballast:v0.1.0",
    });
  await using layout = await openLayout(folder);
  const { descriptor, bytes } = await layout.fetchManifest(tag);
  await using connection = await connect(reference, { ...options, writes: true });
  const { repository } = connection;
  const { config, layers } = parseManifest(bytes, `manifest ${tag} of ${folder}`);
  const copyBlob = async (blob: Descriptor) => {
    if ((await repository.statBlob(blob.digest)) === blob.size) return;
    await repository.putBlob(blob, () => layout.readBlob(blob.digest));
  };
  for (const blob of [...layers, config]) await copyBlob(blob);
  await repository.putManifest(reference.tag, { mediaType: descriptor.mediaType, bytes });
  return formatReference({ ...reference, tag: undefined, digest: digestOf(bytes) });
}
