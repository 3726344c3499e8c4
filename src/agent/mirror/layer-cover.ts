import { type ChunkIndex, fileId } from "../../core/chunk-index.ts";
import type { Digest } from "../../core/digest.ts";

/** A stretch of a layer, and the same bytes in a file. */
export interface Stretch {
  /** Its id. */
  readonly file: string;
  /** Of the whole file. */
  readonly fileBytes: number;
  /** Where it starts in the file. */
  readonly at: number;
  /** Where it starts in the layer. */
  readonly offset: number;
  readonly length: number;
}

/** A part of a file, to be sent. */
export interface FileSlice {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Where the bytes of each layer lie in files, by layer, in the order of the layer. Neighbours in both
 * are one stretch; bytes that several files hold are in several.
 */
export function layersOf(index: ChunkIndex): Map<Digest, Stretch[]> {
  const layers = new Map<Digest, Stretch[]>(index.layers.map(({ digest }) => [digest, []]));
  for (const indexed of index.files) {
    const file = fileId(indexed);
    let at = 0;
    for (const { size, layer, offset } of indexed.chunks) {
      const stretch = { file, fileBytes: indexed.size, at, offset, length: size };
      const digest = index.layers[layer]?.digest;
      if (digest !== undefined) append(layers.get(digest) ?? [], stretch);
      at += size;
    }
  }
  for (const stretches of layers.values()) stretches.sort((a, b) => a.offset - b.offset);
  return layers;
}

function append(stretches: Stretch[], next: Stretch): void {
  const last = stretches.at(-1);
  const continues =
    last?.file === next.file &&
    last.at + last.length === next.at &&
    last.offset + last.length === next.offset;
  if (continues) stretches.splice(-1, 1, { ...last, length: last.length + next.length });
  else stretches.push(next);
}

/** The whole layer, end to end, of stretches in its order; undefined where bytes are missing. */
export function coverLayer(
  stretches: Iterable<Stretch>,
  { size, pathOf }: { readonly size: number; readonly pathOf: (file: string) => string },
): FileSlice[] | undefined {
  const slices: FileSlice[] = [];
  let end = 0;
  for (const { file, at, offset, length } of stretches) {
    const known = end - offset;
    if (known < 0) return undefined;
    if (known >= length) continue;
    slices.push({ path: pathOf(file), offset: at + known, length: length - known });
    end = offset + length;
  }
  return end === size ? slices : undefined;
}

/** The slices of a part of what slices hold end to end. */
export function* cutSlices(
  slices: readonly FileSlice[],
  { offset, length }: { readonly offset: number; readonly length: number },
): Generator<FileSlice> {
  let [skip, left] = [offset, length];
  for (const slice of slices) {
    if (left === 0) return;
    const skipped = Math.min(skip, slice.length);
    const taken = Math.min(slice.length - skipped, left);
    skip -= skipped;
    left -= taken;
    if (taken > 0) yield { ...slice, offset: slice.offset + skipped, length: taken };
  }
}
