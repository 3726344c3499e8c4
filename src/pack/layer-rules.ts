import { type Digest, digestHex } from "../core/digest.ts";

/** Layers per manifest, the ChunkIndex included: some registries refuse more than 500. */
export const maxManifestLayers = 400;
const minTargetBytes = 33_554_432;
/** Where a registry takes small blobs only: a layer holds a chunk of the largest size then. */
const leastTargetBytes = 16_777_216;
/** Targets double until a model has at most this share of the layers it may have, at target size. */
const aimedShare = 0.64;

/** What the layers of a model may be, because of a registry that takes less than others. */
export interface LayerBounds {
  /** Default `maxManifestLayers`, and never more. */
  readonly maxLayers?: number | undefined;
  /** Default: no bound. */
  readonly maxBlobBytes?: number | undefined;
}

/** How many layers a manifest may have, the ChunkIndex included. */
export function layerCount({ maxLayers = maxManifestLayers }: LayerBounds): number {
  return Math.min(maxManifestLayers, maxLayers);
}

/**
 * The size layers are cut around, in bytes, for a model of `totalBytes`: 32 MiB times a power of
 * two, so that small changes of a model's size do not move the bounds (docs/format.md, Layers).
 * Bounds below those of other registries give other layers, as large as they may be.
 */
export function layerTarget(totalBytes: number, bounds: LayerBounds = {}): number {
  const { maxBlobBytes = Number.POSITIVE_INFINITY } = bounds;
  const aimed = Math.max(1, Math.floor(aimedShare * layerCount(bounds)));
  let target = minTargetBytes;
  while (maxLayerBytes(target) > maxBlobBytes && target > leastTargetBytes) target /= 2;
  while (totalBytes / target > aimed && maxLayerBytes(2 * target) <= maxBlobBytes) target *= 2;
  return target;
}

/** Whether a layer ends after this chunk, whatever stands before it. */
export function endsLayer(chunk: { digest: Digest; size: number }, target: number): boolean {
  const drawn = BigInt(`0x${digestHex(chunk.digest).slice(0, 12)}`);
  return drawn * BigInt(target) < BigInt(chunk.size) << 48n;
}

/** No layer grows beyond this many bytes. */
export function maxLayerBytes(target: number): number {
  return 2 * target;
}
