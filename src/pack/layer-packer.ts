import type { ChunkIndex, IndexedFile } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import type { SourceFile } from "../source/source.ts";
import { type BasePlace, chooseRepacked, mapBase, type UsedLayer } from "./base-layers.ts";
import { endsLayer, maxLayerBytes } from "./layer-rules.ts";
import {
  type FreshLayer,
  type OpenLayer,
  type OpenLayerOptions,
  openLayer,
  sliceOf,
} from "./open-layer.ts";
import type { KnownSlice, ReadChunk } from "./read-jobs.ts";

export interface LayerPackerOptions extends OpenLayerOptions {
  /** The size layers are cut around, see layer-rules.ts. */
  readonly target: number;
  /** The most layers of the model, its ChunkIndex included. Default: 400. */
  readonly maxLayers?: number | undefined;
  readonly base: ChunkIndex | undefined;
  /** Whether the target has, or can mount, a layer of the base; asked once for each. */
  readonly canUse: (layer: Digest) => Promise<boolean>;
  /** Told of each new layer as soon as its last chunk is there. Whoever is told releases it. */
  readonly onLayer: (layer: FreshLayer) => void;
}

/** How a chunk was taken: into a new layer, or not at all because it is there. */
export type Taken = "fresh" | "known";

interface Place extends BasePlace {
  readonly from: "base" | "fresh";
}

/**
 * Lays the chunks of one model into layers, as docs/format.md says, and makes its ChunkIndex.
 * Chunks of the base stay where they are; new ones go end to end into new layers as they come.
 */
export class LayerPacker {
  readonly #options: LayerPackerOptions;
  readonly #basePlaces: ReadonlyMap<Digest, BasePlace>;
  readonly #usable = new Map<number, Promise<boolean>>();
  readonly #places = new Map<Digest, Place>();
  readonly #slices: KnownSlice[] = [];
  readonly #fresh: FreshLayer[] = [];
  #freshBytes = 0;
  #open: OpenLayer | undefined;

  constructor(options: LayerPackerOptions) {
    this.#options = options;
    this.#basePlaces = options.base === undefined ? new Map() : mapBase(options.base);
  }

  /** Takes the next chunk of the model over: it is released here or with its layer. */
  async add(chunk: ReadChunk): Promise<Taken> {
    if ((await this.addKnown(chunk)) === "known") {
      chunk.release();
      return "known";
    }
    await this.#addFresh(chunk);
    return "fresh";
  }

  /** Takes the next chunk without bytes, if it is there already. */
  async addKnown(slice: KnownSlice): Promise<Taken> {
    this.#slices.push(sliceOf(slice));
    if (this.#places.has(slice.digest)) return "known";
    const place = await this.#findInBase(slice.digest);
    if (place === undefined) return "fresh";
    this.#places.set(slice.digest, { from: "base", ...place });
    return "known";
  }

  /** Chunks of base layers that are not worth keeping: read them again and hand them to `repack`. */
  chunksToRepack(): KnownSlice[] {
    const unique = this.#unique();
    const { base, target, maxLayers } = this.#options;
    const used = usedLayers(base, unique, this.#places);
    const fresh = {
      bytes: this.#freshBytes,
      layers: this.#fresh.length + (this.#open === undefined ? 0 : 1),
      target,
      maxLayers,
    };
    const repacked = chooseRepacked(used, fresh);
    return unique.filter(({ digest }) => {
      const place = this.#places.get(digest);
      return place?.from === "base" && repacked.has(place.layer);
    });
  }

  /** Puts a chunk of `chunksToRepack` into a new layer. */
  async repack(chunk: ReadChunk): Promise<void> {
    await this.#addFresh(chunk);
  }

  /** Ends the last layer and makes the index of `files`. Rejects when a layer could not be hashed. */
  async finish(files: readonly SourceFile[]): Promise<{ index: ChunkIndex; baseBytes: number }> {
    this.#close();
    const { base } = this.#options;
    const used = usedLayers(base, this.#unique(), this.#places);
    const numbers = new Map(used.map(({ layer }, number) => [layer, number]));
    const locate = (digest: Digest): BasePlace => {
      const place = this.#places.get(digest);
      const fromBase = place?.from === "base" ? numbers.get(place.layer) : undefined;
      const layer = place?.from === "fresh" ? used.length + place.layer : fromBase;
      if (place === undefined || layer === undefined) throw new Error(`${digest} has no place`);
      return { layer, offset: place.offset };
    };
    const baseLayers = used.flatMap(({ layer }) => base?.layers[layer] ?? []);
    const freshLayers = await Promise.all(
      this.#fresh.map(async ({ digest, size }) => ({ digest: await digest, size })),
    );
    const baseBytes = used.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
    const index = {
      layers: [...baseLayers, ...freshLayers],
      files: indexFiles(files, this.#slices, locate),
    };
    return { index, baseBytes };
  }

  async #addFresh(chunk: ReadChunk): Promise<void> {
    const { target } = this.#options;
    if (this.#open !== undefined && this.#open.size + chunk.size > maxLayerBytes(target))
      this.#close();
    this.#open ??= openLayer(this.#options);
    const { size: offset } = this.#open;
    this.#places.set(chunk.digest, { from: "fresh", layer: this.#fresh.length, offset });
    this.#freshBytes += chunk.size;
    await this.#open.add(chunk);
    if (endsLayer(chunk, target)) this.#close();
  }

  #close(): void {
    if (this.#open === undefined) return;
    const layer = this.#open.close();
    this.#open = undefined;
    // Whoever uses the digest sees its failure; nobody may be waiting for it yet.
    layer.digest.catch(() => undefined);
    this.#fresh.push(layer);
    this.#options.onLayer(layer);
  }

  async #findInBase(digest: Digest): Promise<BasePlace | undefined> {
    const place = this.#basePlaces.get(digest);
    const layer = place && this.#options.base?.layers[place.layer];
    if (place === undefined || layer === undefined) return undefined;
    const usable = this.#usable.get(place.layer) ?? this.#options.canUse(layer.digest);
    this.#usable.set(place.layer, usable);
    return (await usable) ? place : undefined;
  }

  #unique(): KnownSlice[] {
    return [...new Map(this.#slices.map((slice) => [slice.digest, slice])).values()];
  }
}

function usedLayers(
  base: ChunkIndex | undefined,
  unique: readonly KnownSlice[],
  places: ReadonlyMap<Digest, Place>,
): UsedLayer[] {
  const live = new Map<number, number>();
  for (const { digest, size } of unique) {
    const place = places.get(digest);
    if (place?.from === "base") live.set(place.layer, (live.get(place.layer) ?? 0) + size);
  }
  return [...live]
    .toSorted(([a], [b]) => a - b)
    .map(([layer, liveBytes]) => ({ layer, liveBytes, size: base?.layers[layer]?.size ?? 0 }));
}

function indexFiles(
  files: readonly SourceFile[],
  slices: readonly KnownSlice[],
  locate: (digest: Digest) => BasePlace,
): IndexedFile[] {
  const byFile = Map.groupBy(slices, (slice) => slice.file);
  return files.map((file) => {
    const own = byFile.get(file) ?? [];
    const chunks = own.map(({ digest, size }) => ({ digest, size, ...locate(digest) }));
    const [only] = own;
    // The digest of a file of one chunk is known; any other would cost a second hash of everything.
    const whole = own.length === 1 && only !== undefined ? { digest: only.digest } : {};
    return { path: file.path, size: file.size, ...whole, chunks };
  });
}
