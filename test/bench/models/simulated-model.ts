import { hash } from "node:crypto";
import type { Chunk, ChunkIndex, IndexedFile } from "../../../src/core/chunk-index.ts";
import { type Digest, digestFromHex } from "../../../src/core/digest.ts";
import { makeManifest } from "../../../src/model/packed-model.ts";
import { endsLayer, layerTarget, maxLayerBytes } from "../../../src/pack/layer-rules.ts";
import { pieceSizes, tensorChunkSizes } from "../../../src/pack/tensor-groups.ts";
import { planLlama, safetensorsHeader } from "./llama-shape.ts";
import { madeUpDigests } from "./made-up-content.ts";

/** A chunk of a layer, with the number its content follows from. */
export interface MadeUpChunk {
  readonly number: number;
  readonly size: number;
}

/** A model that exists as documents only; what its chunks hold is made up when it is asked for. */
export interface SimulatedModel {
  readonly index: ChunkIndex;
  readonly indexBytes: Buffer;
  readonly indexDigest: Digest;
  readonly manifestBytes: Buffer;
  readonly manifestDigest: Digest;
  /** The chunks of each layer, end to end. */
  readonly layers: ReadonlyMap<Digest, readonly MadeUpChunk[]>;
}

/** Bytes of a file, as large models are published. */
const shardBytes = 5_000_000_000;

/** How many files a model of this size comes in. */
export function shardsFor(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / shardBytes));
}

/** Lays out a model of about `bytes`, cut and packed as a push would without a base. */
export function simulateModel(bytes: number): SimulatedModel {
  const shards = planLlama(bytes, shardsFor(bytes)).map(({ path, tensors }) => {
    const header = safetensorsHeader(tensors).byteLength;
    return { path, sizes: [...pieceSizes(header), ...tensorChunkSizes(tensors)] };
  });
  const sizes = shards.flatMap((shard) => shard.sizes);
  const digests = madeUpDigests(sizes);
  const { layers, places } = layOut(sizes, digests);
  let next = 0;
  const files: IndexedFile[] = shards.map(({ path, sizes: own }) => {
    const chunks = own.map((size) => {
      const [digest, place] = [digests[next], places[next]];
      if (digest === undefined || place === undefined) throw new Error(`no chunk ${next}`);
      next += 1;
      return { digest, size, ...place } satisfies Chunk;
    });
    return { path, size: own.reduce((sum, size) => sum + size, 0), chunks };
  });
  const table = [...layers].map(([digest, chunks]) => ({
    digest,
    size: chunks.reduce((sum, { size }) => sum + size, 0),
  }));
  const index = { layers: table, files };
  const { digest: manifestDigest, ...documents } = makeManifest(index, {
    annotations: {},
    limits: { source: "nobody" },
    repository: { name: "simulated" },
  });
  return { ...documents, index, manifestDigest, layers };
}

/** Where layers end: docs/format.md, "Layers". */
function layOut(sizes: readonly number[], digests: readonly Digest[]) {
  const target = layerTarget(sizes.reduce((sum, size) => sum + size, 0));
  const layers: MadeUpChunk[][] = [];
  const places: { layer: number; offset: number }[] = [];
  let [open, openBytes]: [MadeUpChunk[] | undefined, number] = [undefined, 0];
  for (const [number, size] of sizes.entries()) {
    if (open !== undefined && openBytes + size > maxLayerBytes(target)) open = undefined;
    if (open === undefined) {
      [open, openBytes] = [[], 0];
      layers.push(open);
    }
    places.push({ layer: layers.length - 1, offset: openBytes });
    open.push({ number, size });
    openBytes += size;
    const digest = digests[number];
    if (digest !== undefined && endsLayer({ digest, size }, target)) open = undefined;
  }
  // A pull checks chunks, not layers, so a layer's name may be any digest of its own.
  const named = layers.map((chunks) => {
    const [first, ...more] = chunks.flatMap(({ number }) => digests[number] ?? []);
    if (first === undefined) throw new Error("an empty layer");
    const made = () => digestFromHex(hash("sha256", [first, ...more].join(" "), "hex"));
    return [more.length === 0 ? first : made(), chunks] as const;
  });
  return { layers: new Map(named), places };
}
