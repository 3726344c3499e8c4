import type { Chunk } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";

/** A chunk that must arrive, and where it goes. */
export interface WantedChunk<Target> {
  readonly chunk: Chunk;
  readonly target: Target;
}

/** Neighbours of one layer, fetched with one request. */
export interface FetchRange<Target> {
  readonly layer: number;
  readonly offset: number;
  readonly length: number;
  /** In the order they lie in the layer, end to end. */
  readonly wanted: readonly WantedChunk<Target>[];
}

export interface FetchPlan<Target> {
  readonly ranges: readonly FetchRange<Target>[];
  /** Chunks wanted more than once: the first is fetched, these are copied from it. */
  readonly repeats: readonly { from: WantedChunk<Target>; to: WantedChunk<Target> }[];
}

/** Most bytes asked for at once (64 MiB): any layer of a model below 8 GiB takes one request. */
const defaultRangeBytes = 67_108_864;

/** A range of this length (64 GiB) holds any layer whole. */
const wholeLayerBytes = 68_719_476_736;

/** Small files come many to a range; more than this would be too much to ask for again at once. */
const maxChunksPerRange = 1024;

/** With more requests than this, ranges get longer: registries count requests. */
const manyRanges = 384;

/**
 * Plans the fewest ranges of at most `maxBytes` that bring each chunk once; by default 64 MiB, and
 * as much more as it takes to stay at 384 ranges.
 */
export function planFetches<Target>(
  wanted: Iterable<WantedChunk<Target>>,
  maxBytes?: number,
): FetchPlan<Target> {
  const first = new Map<Digest, WantedChunk<Target>>();
  const repeats: { from: WantedChunk<Target>; to: WantedChunk<Target> }[] = [];
  for (const each of wanted) {
    const from = first.get(each.chunk.digest);
    if (from === undefined) first.set(each.chunk.digest, each);
    else repeats.push({ from, to: each });
  }
  const inLayerOrder = [...first.values()].sort(
    (a, b) => a.chunk.layer - b.chunk.layer || a.chunk.offset - b.chunk.offset,
  );
  const ranges =
    maxBytes === undefined ? joinFewest(inLayerOrder) : joinNeighbours(inLayerOrder, maxBytes);
  return { ranges, repeats };
}

function joinFewest<Target>(sorted: readonly WantedChunk<Target>[]): FetchRange<Target>[] {
  let ranges = joinNeighbours(sorted, defaultRangeBytes);
  for (let bytes = 2 * defaultRangeBytes; ranges.length > manyRanges; bytes *= 2) {
    ranges = joinNeighbours(sorted, bytes);
    if (bytes >= wholeLayerBytes) break;
  }
  return ranges;
}

/** Joins chunks sorted by place into ranges of at most `maxBytes` and 1024 chunks. */
export function joinNeighbours<Target>(
  sorted: readonly WantedChunk<Target>[],
  maxBytes: number,
): FetchRange<Target>[] {
  const ranges: (FetchRange<Target> & { wanted: WantedChunk<Target>[]; length: number })[] = [];
  for (const each of sorted) {
    const { layer, offset, size } = each.chunk;
    const last = ranges.at(-1);
    if (
      last !== undefined &&
      last.layer === layer &&
      last.offset + last.length === offset &&
      last.length + size <= maxBytes &&
      last.wanted.length < maxChunksPerRange
    ) {
      last.wanted.push(each);
      last.length += size;
    } else ranges.push({ layer, offset, length: size, wanted: [each] });
  }
  return ranges;
}
