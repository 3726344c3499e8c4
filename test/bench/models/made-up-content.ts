import { createHash, type Hash } from "node:crypto";
import { type Digest, digestFromHex } from "../../../src/core/digest.ts";

/** The end of a chunk that tells it from all others. */
const markBytes = 16;

/**
 * The bytes of made-up chunk `number` end with these; all before are zeros. So a chunk costs nothing
 * to store and its digest nothing to compute, and no two of one size are equal.
 */
export function markOf(number: number, size: number): Buffer {
  const mark = Buffer.alloc(markBytes);
  mark.writeBigUInt64BE(BigInt(number) + 1n, markBytes - 8);
  return mark.subarray(Math.max(0, markBytes - size));
}

/** Digests of made-up chunks, given their sizes in order. */
export function madeUpDigests(sizes: readonly number[]): Digest[] {
  const prefixes = hashZeros(new Set(sizes.map((size) => Math.max(0, size - markBytes))));
  return sizes.map((size, number) => {
    const hash = prefixes.get(Math.max(0, size - markBytes))?.copy();
    if (hash === undefined) throw new Error(`no zeros for ${size}`);
    return digestFromHex(hash.update(markOf(number, size)).digest("hex"));
  });
}

/** A running hash over each of these counts of zeros. */
function hashZeros(counts: ReadonlySet<number>): Map<number, Hash> {
  const running = createHash("sha256");
  let done = 0;
  return new Map(
    [...counts]
      .toSorted((a, b) => a - b)
      .map((count) => {
        running.update(Buffer.alloc(count - done));
        done = count;
        return [count, running.copy()];
      }),
  );
}
