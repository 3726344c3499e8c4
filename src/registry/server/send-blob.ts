import type { ServerResponse } from "node:http";
import type { ContentDigest } from "../../core/digest.ts";
import { requireMatch } from "./conditions.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange, hasCurrent } from "./exchange.ts";
import { parseRange, type SatisfiedRange } from "./range.ts";
import { entityTag } from "./references.ts";

/** The bytes of a blob, wherever they lie. */
export interface BlobBytes {
  readonly size: number;
  /** Whether ranges of it are offered; default true. */
  readonly hasRanges?: boolean | undefined;
  /**
   * Writes a slice to a response whose head is set, and does not end it. Resolves early when the
   * client goes away.
   */
  send(response: ServerResponse, slice: SatisfiedRange): Promise<void>;
}

/** Answers GET and HEAD with a blob; GET answers one `Range` with 206 (RFC 9110, section 14). */
export async function sendBlob(
  exchange: Pick<Exchange, "request" | "response">,
  digest: ContentDigest,
  blob: BlobBytes,
): Promise<void> {
  const { request, response } = exchange;
  const { hasRanges = true } = blob;
  requireMatch(exchange, entityTag(digest));
  if (hasCurrent(exchange, entityTag(digest)))
    return answerEmpty(exchange, 304, validators(digest));
  const range = hasRanges ? requestedRange(exchange, digest, blob.size) : undefined;
  const slice = range ?? { offset: 0, length: blob.size };
  const last = slice.offset + slice.length - 1;
  response.writeHead(range === undefined ? 200 : 206, {
    ...validators(digest),
    ...(hasRanges ? { "Accept-Ranges": "bytes" } : {}),
    "Content-Type": "application/octet-stream",
    "Content-Length": slice.length,
    ...(range === undefined
      ? {}
      : { "Content-Range": `bytes ${slice.offset}-${last}/${blob.size}` }),
  });
  if (request.method !== "HEAD") await blob.send(response, slice);
  response.end();
}

/** Only GET has ranges, and `If-Range` must name this very content. */
function requestedRange(
  { request }: Pick<Exchange, "request">,
  digest: ContentDigest,
  size: number,
): SatisfiedRange | undefined {
  const condition = request.headers["if-range"];
  if (request.method !== "GET") return undefined;
  if (condition !== undefined && condition !== entityTag(digest)) return undefined;
  const range = parseRange(request.headers.range, size);
  if (range === "ignored") return undefined;
  if (range !== "unsatisfiable") return range;
  throw new ProtocolError(
    416,
    { code: "SIZE_INVALID", message: `the blob has ${size} bytes`, detail: { size } },
    { "Content-Range": `bytes */${size}`, ...validators(digest) },
  );
}

function validators(digest: ContentDigest): Record<string, string> {
  return {
    "Docker-Content-Digest": digest,
    ETag: entityTag(digest),
  };
}
