import { isRecord } from "../../core/chunk-index.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { type ContentDescriptor, isForeign, readContentDescriptor } from "../../oci/descriptor.ts";
import { maxManifestBytes } from "../../oci/manifest.ts";
import { isManifestType } from "../../oci/manifest-types.ts";

/** As many as a manifest of 4 MiB can name. */
const maxLinks = 50_000;

/** What a manifest or an image index of anybody's names, in its order. */
export interface Links {
  /** An index's manifests. */
  readonly manifests: readonly PlatformDescriptor[];
  /** Config and layers, and what an index names that is no manifest. */
  readonly blobs: readonly LinkedBlob[];
  /** Layers alone, for registries that take only so many. */
  readonly layers: number;
  readonly subject: ContentDigest | undefined;
}

/** A blob as a manifest names it. */
export interface LinkedBlob {
  readonly digest: ContentDigest;
  /** Bytes. */
  readonly size: number;
  /** Whether it may be had elsewhere only (image-spec 1.1, non-distributable layers). */
  readonly isForeign: boolean;
}

/** A manifest of an index, with the platform it is for. */
interface PlatformDescriptor extends ContentDescriptor {
  /** `os/architecture`, with `/variant` where there is one. */
  readonly platform: string | undefined;
}

/** Reads what a manifest names. Throws INVALID_MANIFEST, or UNSUPPORTED_ARTIFACT for Docker's first schema. */
export function readLinks(bytes: Uint8Array, what: string): Links {
  const refuse = (why: string) => new ModelError("INVALID_MANIFEST", `${what}: ${why}`);
  const root = parseJson(bytes, { maxBytes: maxManifestBytes, what, code: "INVALID_MANIFEST" });
  if (isRecord(root) && root["schemaVersion"] === 1)
    throw new ModelError("UNSUPPORTED_ARTIFACT", `${what} is of Docker's first schema`, {
      hint: "pull and push it with docker once: that writes it anew",
    });
  if (!isRecord(root) || root["schemaVersion"] !== 2)
    throw refuse("is no manifest with schemaVersion 2");
  const { manifests, config, layers, blobs, subject } = root;
  if (manifests !== undefined && (config !== undefined || layers !== undefined))
    throw refuse("is an image index and an image manifest at once");
  const read = (raw: unknown, name: string) => {
    const found = readContentDescriptor(raw);
    if (found === undefined) throw refuse(`its ${name} is no sha256 or sha512 descriptor`);
    return { ...found, raw: raw as Readonly<Record<string, unknown>> };
  };
  const list = (raw: unknown, name: string) => {
    if (raw === undefined) return [];
    if (!Array.isArray(raw) || raw.length > maxLinks)
      throw refuse(`its ${name}s are no list of at most ${maxLinks}`);
    return raw.map((each, at) => read(each, `${name} ${at}`));
  };
  const named = list(manifests, "manifest");
  // An artifact manifest of release candidates of image-spec 1.1 calls its layers blobs.
  const content = [...list(layers, "layer"), ...list(blobs, "blob")];
  const configs = config === undefined ? [] : [read(config, "config")];
  const others = named.filter(({ mediaType }) => !isManifestType(mediaType));
  return {
    manifests: named
      .filter(({ mediaType }) => isManifestType(mediaType))
      .map(({ raw, ...each }) => ({ ...each, platform: readPlatform(raw["platform"]) })),
    blobs: [...configs, ...content, ...others].map(({ digest, size, raw }) => ({
      digest,
      size,
      isForeign: isForeign(raw),
    })),
    layers: content.length,
    subject: subject === undefined ? undefined : read(subject, "subject").digest,
  };
}

function readPlatform(raw: unknown): string | undefined {
  if (!isRecord(raw)) return undefined;
  const { os, architecture, variant } = raw;
  if (typeof os !== "string" || typeof architecture !== "string") return undefined;
  return typeof variant === "string" && variant !== ""
    ? `${os}/${architecture}/${variant}`
    : `${os}/${architecture}`;
}
