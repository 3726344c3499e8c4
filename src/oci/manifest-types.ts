import { mediaTypes } from "./media-types.ts";

const indexTypes: readonly string[] = [
  mediaTypes.imageIndex,
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

// Of release candidates of image-spec 1.1.
const artifactManifest = "application/vnd.oci.artifact.manifest.v1+json";

/** What registries are asked for when they are asked for a manifest. */
export const acceptedManifestTypes: readonly string[] = [
  mediaTypes.imageManifest,
  ...indexTypes,
  "application/vnd.docker.distribution.manifest.v2+json",
];

/** Whether a manifest of this type names others. */
export function isIndexType(mediaType: string): boolean {
  return indexTypes.includes(mediaType);
}

/** Whether content of this type names other content: an index, a manifest, of OCI or Docker. */
export function isManifestType(mediaType: string): boolean {
  return acceptedManifestTypes.includes(mediaType) || mediaType === artifactManifest;
}
