/** Media types and annotation keys on the wire; docs/format.md explains ours. */
export const mediaTypes = {
  imageManifest: "application/vnd.oci.image.manifest.v1+json",
  imageIndex: "application/vnd.oci.image.index.v1+json",
  emptyConfig: "application/vnd.oci.empty.v1+json",
  model: "application/vnd.ballast.model.v1+json",
  chunkIndex: "application/vnd.ballast.model.index.v1+json",
  layer: "application/vnd.ballast.model.layer.v1",
} as const;
