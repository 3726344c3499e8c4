import { hash } from "node:crypto";
import { maxChunkBytes } from "../core/chunk-index.ts";

/** What decides where chunks of tensors end; nothing else does, least of all a position. */
export interface BoundedTensor {
  readonly name: string;
  /** The word the file's format has for the element type. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes up to the next tensor. */
  readonly size: number;
}

/** A tensor of this many bytes or more always ends its group; average bytes of a group below it. */
const groupBytes = 2_097_152;

/**
 * Sizes in bytes, in order, of the chunks of tensors that lie end to end: what is larger than a
 * chunk in pieces counted from its start, smaller ones in groups (docs/format.md, "Tensors").
 */
export function tensorChunkSizes(tensors: Iterable<BoundedTensor>): number[] {
  const sizes: number[] = [];
  let group = 0;
  const endGroup = () => {
    if (group > 0) sizes.push(group);
    group = 0;
  };
  for (const tensor of tensors) {
    if (group + tensor.size > maxChunkBytes) endGroup();
    if (tensor.size > maxChunkBytes) {
      for (const piece of pieceSizes(tensor.size)) sizes.push(piece);
      continue;
    }
    group += tensor.size;
    if (endsGroup(tensor)) endGroup();
  }
  endGroup();
  return sizes;
}

/** Cuts `size` bytes into pieces of the largest chunk; the last may be shorter. */
export function pieceSizes(size: number): number[] {
  const whole = Math.floor(size / maxChunkBytes);
  const rest = size % maxChunkBytes;
  return [...Array<number>(whole).fill(maxChunkBytes), ...(rest === 0 ? [] : [rest])];
}

/**
 * Tells whether a group ends after `tensor`: its 48-bit hash, read as a fraction of 1, is below
 * size / 2 MiB. The numbers are whole and below 2^53, so the comparison is exact.
 */
export function endsGroup(tensor: BoundedTensor): boolean {
  if (tensor.size >= groupBytes) return true;
  return tensorHash(tensor) < tensor.size * 2 ** 27;
}

/** The first 48 bits of sha256 over the end of the name, the dtype and the shape. */
function tensorHash({ name, dtype, shape }: BoundedTensor): number {
  const tail = name.split(".").slice(-2).join(".");
  return hash("sha256", `${tail}\0${dtype}\0${shape.join(",")}`, "buffer").readUIntBE(0, 6);
}
