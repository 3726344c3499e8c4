import { isRecord } from "../core/chunk-index.ts";
import { digestOf } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import { type Descriptor, readAnnotations, readDescriptor } from "./descriptor.ts";
import { mediaTypes } from "./media-types.ts";

/** Registries need to take manifests of 4 MiB (distribution-spec 1.1); Ballast reads no larger one. */
export const maxManifestBytes = 4_194_304;
const maxLayers = 10_000;

/** An OCI image manifest (image-spec 1.1, manifest.md). */
export interface Manifest {
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The two-byte config of artifacts that have none (image-spec 1.1, "Guidance for an Empty Descriptor"). */
export const emptyConfigBytes: Buffer = Buffer.from("{}");
export const emptyConfig: Descriptor = {
  mediaType: mediaTypes.emptyConfig,
  digest: digestOf(emptyConfigBytes),
  size: emptyConfigBytes.byteLength,
};

/** Writes a manifest as canonical bytes: fixed key order, annotations sorted by key. */
export function serializeManifest(manifest: Manifest): Buffer {
  const { artifactType, config, layers, subject, annotations } = manifest;
  const sorted = Object.entries(annotations ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      artifactType,
      config,
      layers,
      subject,
      annotations: sorted.length === 0 ? undefined : Object.fromEntries(sorted),
    }),
  );
}

/** Parses an image manifest from outside; throws INVALID_MANIFEST or UNSUPPORTED_ARTIFACT. */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  const refuse = (why: string) => new ModelError("INVALID_MANIFEST", `${what}: ${why}`);
  const root = parseJson(bytes, { maxBytes: maxManifestBytes, what, code: "INVALID_MANIFEST" });
  if (!isRecord(root) || root["schemaVersion"] !== 2) throw refuse("is no OCI manifest");
  if (Array.isArray(root["manifests"]))
    throw new ModelError("UNSUPPORTED_ARTIFACT", `${what} is an image index, not one model`, {
      hint: "name one of its manifests by digest",
    });
  const config = readDescriptor(root["config"]);
  if (config === undefined) throw refuse("its config is no sha256 descriptor");
  const rawLayers = root["layers"];
  if (!Array.isArray(rawLayers) || rawLayers.length > maxLayers)
    throw refuse(`layers is not a list of at most ${maxLayers}`);
  const layers = rawLayers.map((raw, at) => {
    const layer = readDescriptor(raw);
    if (layer === undefined) throw refuse(`layer ${at} is no sha256 descriptor`);
    return layer;
  });
  return {
    artifactType: typeof root["artifactType"] === "string" ? root["artifactType"] : undefined,
    config,
    layers,
    subject: root["subject"] === undefined ? undefined : readDescriptor(root["subject"]),
    annotations: readAnnotations(root["annotations"]),
  };
}
