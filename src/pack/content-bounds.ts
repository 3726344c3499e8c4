import { hash } from "node:crypto";
import { maxChunkBytes } from "../core/chunk-index.ts";

/** Shortest chunk but the last of a file (16 MiB), and where cuts become eight times as likely. */
const minBytes = 16_777_216;
const normalBytes = 25_165_824;
/** A 32-bit hash that shifts by one for each byte has forgotten all but the last 32. */
const windowBytes = 32;
/** A cut is where the hash is below this: one position in 2^24 before `normalBytes`, then in 2^21. */
const strictThreshold = 256;
const looseThreshold = 2048;

const gear = Int32Array.from({ length: 256 }, (_, byte) =>
  hash("sha256", `ballast gear ${byte}`, "buffer").readInt32BE(0),
);

/** Finds where a content-defined chunk ends. */
export interface ContentScan {
  /** Where in the chunk, in bytes, the first block begins; what lies before decides nothing. */
  readonly from: number;
  /** Takes the next block, of any size. Answers the chunk's length once its end was seen. */
  push(block: Uint8Array): number | undefined;
}

/**
 * Starts the search for the end of a chunk after whose start `remaining` bytes of the file follow.
 * Answers the length itself when no byte can change it (docs/format.md, "Content").
 */
export function startContentScan(remaining: number): ContentScan | number {
  if (remaining <= minBytes) return remaining;
  const limit = Math.min(remaining, maxChunkBytes);
  const phases = [
    { end: minBytes - 1, threshold: 0 },
    { end: Math.min(normalBytes, limit) - 1, threshold: strictThreshold },
    { end: limit - 1, threshold: looseThreshold },
  ];
  let seen = minBytes - windowBytes;
  let rolling = 0;

  function push(block: Uint8Array): number | undefined {
    let at = 0;
    for (const { end, threshold } of phases) {
      const stop = Math.min(block.length, at + Math.max(0, end - seen));
      const start = at;
      while (at < stop) {
        rolling = ((rolling << 1) + (gear[block[at++] ?? 0] ?? 0)) | 0;
        if (rolling >>> 0 < threshold) return seen + at - start;
      }
      seen += at - start;
    }
    return at < block.length ? limit : undefined;
  }
  return { from: seen, push };
}
