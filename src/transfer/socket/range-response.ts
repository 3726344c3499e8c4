import type { ByteRange } from "../../oci/repository.ts";
import { judgeAnswer, keepsAlive } from "./plain-answer.ts";
import { parseResponseHead } from "./response-head.ts";

/** Interim answers before the final one. */
const maxInterim = 16;
/** Bytes are passed on when this many (128 KiB) have gathered: TLS brings them 16 KiB at a time. */
const passedOnBytes = 131_072;

/** The answer to one GET of a range, taken apart as it arrives. */
export interface RangeResponse {
  /** `refused`: it is something else than the plain range, or has no end; nothing more is taken. */
  readonly state: "head" | "body" | "done" | "refused";
  /** Bytes of the range that are still to be passed on. */
  readonly left: number;
  /** Whether the connection takes another request, once it is done. */
  readonly keepsAlive: boolean;
  /**
   * Takes bytes that follow those taken before, and returns how many; the others are to be given again
   * with more behind them. With `isFull` there is no room for more.
   */
  take(bytes: Buffer, isFull: boolean): number;
}

/** Starts with nothing; `onBytes` gets the bytes of the range, in order, during `take` only. */
export function createRangeResponse(
  range: ByteRange,
  onBytes: (bytes: Uint8Array) => void,
): RangeResponse {
  let state: RangeResponse["state"] = "head";
  let left = range.length;
  let keeps = false;
  let interim = 0;

  /** Takes one head; returns its length, 0 while it is not whole. */
  function takeHead(bytes: Buffer): number {
    const head = parseResponseHead(bytes);
    if (head === "incomplete") return 0;
    const kind = head === "malformed" ? "other" : judgeAnswer(head, range);
    interim += 1;
    if (head === "malformed" || kind === "other" || interim > maxInterim) {
      state = "refused";
      return 0;
    }
    if (kind === "range") {
      state = "body";
      keeps = keepsAlive(head);
    }
    return head.byteLength;
  }

  function takeBody(bytes: Buffer, isFull: boolean): number {
    const length = Math.min(left, bytes.byteLength);
    if (length < left && length < passedOnBytes && !isFull) return 0;
    onBytes(bytes.subarray(0, length));
    left -= length;
    if (left === 0) state = "done";
    return length;
  }

  return {
    get state() {
      return state;
    },
    get left() {
      return left;
    },
    get keepsAlive() {
      return keeps;
    },
    take(bytes, isFull) {
      let taken = 0;
      while (state === "head") {
        const length = takeHead(bytes.subarray(taken));
        if (length === 0) return taken;
        taken += length;
      }
      return taken + (state === "body" ? takeBody(bytes.subarray(taken), isFull) : 0);
    },
  };
}
