import { ModelError } from "../core/errors.ts";

/** What a repository takes; a bound that nobody stated is absent. */
export interface ContentLimits {
  /** Who says so, for messages: `profile ecr`. */
  readonly source: string;
  /** Layers of one manifest. */
  readonly maxLayers?: number | undefined;
  readonly maxBlobBytes?: number | undefined;
  readonly maxManifestBytes?: number | undefined;
}

/** One manifest that is to be written, as far as limits go. */
export interface ManifestSize {
  readonly layers: number;
  readonly largestBlobBytes: number;
  readonly manifestBytes: number;
}

/**
 * Throws REGISTRY_LIMIT for a manifest that the repository `name` would refuse, with the bound and who
 * states it; `what` is the thing for the message. To be asked before the first byte is sent.
 */
export function checkContentLimits(
  limits: ContentLimits,
  { name, what, ...size }: ManifestSize & { readonly name: string; readonly what: string },
): void {
  const refuse = (needs: string, takes: string) => {
    throw new ModelError(
      "REGISTRY_LIMIT",
      `${what} needs ${needs}; ${name} takes ${takes} (${limits.source})`,
      { hint: "if the registry takes more, name its profile with --registry-profile" },
    );
  };
  const { maxLayers, maxBlobBytes, maxManifestBytes } = limits;
  if (maxLayers !== undefined && size.layers > maxLayers)
    refuse(`${size.layers} layers`, `${maxLayers}`);
  if (maxBlobBytes !== undefined && size.largestBlobBytes > maxBlobBytes)
    refuse(`a blob of ${size.largestBlobBytes} bytes`, `blobs of at most ${maxBlobBytes} bytes`);
  if (maxManifestBytes !== undefined && size.manifestBytes > maxManifestBytes)
    refuse(
      `a manifest of ${size.manifestBytes} bytes`,
      `manifests of at most ${maxManifestBytes} bytes`,
    );
}
