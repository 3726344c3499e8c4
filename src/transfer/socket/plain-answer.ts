import type { ByteRange } from "../../oci/repository.ts";
import { parseContentRange } from "../../registry/client/content-range.ts";
import type { ResponseHead } from "./response-head.ts";

/** What the head of an answer says of the bytes behind it. */
export type AnswerKind =
  /** Exactly the range that was asked for follows, and nothing else. */
  | "range"
  /** An interim answer; the final one follows (RFC 9110 15.2). */
  | "interim"
  /** Anything else. */
  | "other";

/**
 * Judges an answer to a GET of `range`: 206 with exactly this Content-Range, or 200 for a range from
 * byte 0 that ends where the content does; of a stated length, in one piece, not encoded.
 */
export function judgeAnswer({ status, fields }: ResponseHead, range: ByteRange): AnswerKind {
  if (status < 200) return status === 101 ? "other" : "interim";
  const encoding = fields.get("content-encoding") || "identity";
  if (fields.has("transfer-encoding") || encoding.toLowerCase() !== "identity") return "other";
  if (fields.get("content-length") !== String(range.length)) return "other";
  if (status === 200) return range.offset === 0 && !fields.has("content-range") ? "range" : "other";
  if (status !== 206) return "other";
  const served = parseContentRange(fields.get("content-range"));
  const last = range.offset + range.length - 1;
  return served?.first === range.offset && served.last === last ? "range" : "other";
}

/** Tells whether the connection takes another request after this answer (RFC 9112 9.3). */
export function keepsAlive({ fields }: ResponseHead): boolean {
  const options = (fields.get("connection") ?? "").toLowerCase().split(",");
  return !options.some((option) => option.trim() === "close");
}
