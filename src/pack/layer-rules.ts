import { type Digest, digestHex } from "../core/digest.ts";

/** Layers per manifest, the ChunkIndex included: some registries refuse more than 500. */
export const maxManifestLayers = 400;
const minTargetBytes = 33_554_432;
/** Targets double until a model has at most this many layers of target size. */
const aimedLayers = 256;

/**
 * The size layers are cut around, in bytes, for a model of `totalBytes`: 32 MiB times a power of
 * two, so that small changes of a model's size do not move the bounds (docs/format.md, Layers).
 */
export function layerTarget(totalBytes: number): number {
  let target = minTargetBytes;
  while (totalBytes / target > aimedLayers) target *= 2;
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
