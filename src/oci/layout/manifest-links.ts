import { isRecord } from "../../core/chunk-index.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import {
  type ContentDescriptor,
  isForeign,
  readAnnotations,
  readContentDescriptor,
} from "../descriptor.ts";
import { maxManifestBytes } from "../manifest.ts";
import { mediaTypes } from "../media-types.ts";

const maxLinks = 10_000;

/** What a manifest or an image index of any kind (OCI, Docker) says about other content. */
export interface ManifestLinks {
  /** Its `mediaType` field; without one, what its shape says. */
  readonly mediaType: string;
  /** Whether it has a `mediaType` field. */
  readonly statesMediaType: boolean;
  /** As a referrers list shows it: `artifactType`, or else the config's media type. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  readonly subject: ContentDescriptor | undefined;
  /** Config, layers and an index's manifests: what must be there before it. */
  readonly required: readonly ContentDescriptor[];
  /** An image index's manifests; empty for any other manifest. */
  readonly manifests: readonly ContentDescriptor[];
}

/** Reads the links of a manifest from outside; throws INVALID_MANIFEST naming `what`. */
export function parseManifestLinks(bytes: Uint8Array, what: string): ManifestLinks {
  const refuse = (why: string) => new ModelError("INVALID_MANIFEST", `${what}: ${why}`);
  const root = parseJson(bytes, { maxBytes: maxManifestBytes, what, code: "INVALID_MANIFEST" });
  if (!isRecord(root) || root["schemaVersion"] !== 2)
    throw refuse("is no manifest with schemaVersion 2");
  const { manifests, config, layers, subject, mediaType, artifactType } = root;
  // The two shapes at once would be read as one by some clients and as the other by the rest.
  if (manifests !== undefined && (config !== undefined || layers !== undefined))
    throw refuse("is an image index and an image manifest at once");
  const read = (raw: unknown, name: string) => {
    const descriptor = readContentDescriptor(raw);
    if (descriptor === undefined)
      throw refuse(`${name} is no descriptor with a sha256 or sha512 digest`);
    return descriptor;
  };
  const readList = (raw: unknown, name: string) => {
    if (!Array.isArray(raw) || raw.length > maxLinks)
      throw refuse(`${name} is not a list of at most ${maxLinks}`);
    return raw
      .filter((entry) => !isRecord(entry) || !isForeign(entry))
      .map((entry, at) => read(entry, `${name} ${at}`));
  };
  const isIndex = manifests !== undefined;
  const configDescriptor = isIndex ? undefined : read(config, "config");
  const children = isIndex ? readList(manifests, "manifests") : [];
  return {
    mediaType: typeof mediaType === "string" ? mediaType : shapeType(isIndex),
    statesMediaType: typeof mediaType === "string",
    artifactType: nonEmpty(artifactType) ?? configDescriptor?.mediaType,
    annotations: readAnnotations(root["annotations"]),
    subject: subject === undefined ? undefined : read(subject, "subject"),
    required:
      configDescriptor === undefined ? children : [configDescriptor, ...readList(layers, "layers")],
    manifests: children,
  };
}

function shapeType(isIndex: boolean): string {
  return isIndex ? mediaTypes.imageIndex : mediaTypes.imageManifest;
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
