import type { ChunkIndex } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { maxManifestLayers } from "./layer-rules.ts";

/** Where a base has a chunk. */
export interface BasePlace {
  /** Number in the base's layer table. */
  readonly layer: number;
  readonly offset: number;
}

/** The chunks of a base by digest, each at its first place. */
export function mapBase(base: ChunkIndex): Map<Digest, BasePlace> {
  const places = new Map<Digest, BasePlace>();
  for (const { chunks } of base.files)
    for (const { digest, layer, offset } of chunks)
      if (!places.has(digest)) places.set(digest, { layer, offset });
  return places;
}

/** A layer of the base that the new model would list, and how much of it the model uses. */
export interface UsedLayer {
  readonly layer: number;
  readonly size: number;
  readonly liveBytes: number;
}

/** Of what has to move anyway, this much more may move to leave mostly dead layers behind. */
const repackShare = 0.05;

/**
 * Chooses base layers to leave behind; what the model uses of them is packed anew. Layers less than
 * half alive go, deadest first, while that costs at most 5 % of the bytes that move anyway: a small
 * change stays a small push. Beyond that only as many as the limit of layers asks for.
 */
export function chooseRepacked(
  used: readonly UsedLayer[],
  fresh: {
    readonly bytes: number;
    readonly layers: number;
    readonly target: number;
    /** The most that the model may have in all, its ChunkIndex included. Default: 400. */
    readonly maxLayers?: number | undefined;
  },
): Set<number> {
  const { maxLayers = maxManifestLayers } = fresh;
  const repacked = new Set<number>();
  let bytes = 0;
  const byShare = used.toSorted((a, b) => a.liveBytes / a.size - b.liveBytes / b.size);
  for (const { layer, size, liveBytes } of byShare) {
    if (liveBytes * 2 >= size || bytes + liveBytes > fresh.bytes * repackShare) break;
    repacked.add(layer);
    bytes += liveBytes;
  }
  const layersAfter = () =>
    1 + used.length - repacked.size + fresh.layers + Math.ceil((2 * bytes) / fresh.target);
  const byBytes = used.toSorted((a, b) => a.liveBytes - b.liveBytes);
  for (const { layer, liveBytes } of byBytes) {
    if (layersAfter() <= maxLayers) break;
    if (repacked.has(layer)) continue;
    repacked.add(layer);
    bytes += liveBytes;
  }
  return repacked;
}
