import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { BlobLocator, BlobReader, ByteRange } from "../../oci/repository.ts";
import { createBlobLocations } from "./blob-locations.ts";
import { readBlobSize } from "./blob-size.ts";
import { parseContentRange } from "./content-range.ts";
import { type Answer, bodyPieces, contentLength, encodingOf, header } from "./http/answer.ts";
import { networkFailure, RequestFailure } from "./http/request-failure.ts";
import { createBackoff, retrying } from "./http/retry.ts";
import type { Call, Session } from "./session.ts";

/** An attempt that brings less (4 KiB) got nowhere: a byte for each request would be a request for each byte. */
const leastProgressBytes = 4096;
/** Reads blobs of one repository. */
export function createBlobReader(session: Session): BlobReader & BlobLocator {
  const locations = createBlobLocations(session);

  return {
    statBlob: (digest, options = {}) =>
      retrying(session.retry, options.signal, () => readBlobSize(session, digest, options)),

    async locateBlob(digest, { signal } = {}) {
      const what = `blob ${digest} of ${session.host}/${session.repository}`;
      const call = blobCall(session, digest, { at: 0, end: 1, what, signal });
      const url = await retrying(session.retry, signal, () => locations.locate(digest, call));
      return session.describe({ method: "GET", url, signal });
    },

    async *readBlob(digest, options = {}) {
      const { range, signal } = options;
      const what = `blob ${digest} of ${session.host}/${session.repository}`;
      checkRange(range, what);
      if (range?.length === 0) return;
      const backoff = createBackoff(session.retry, signal);
      let at = range?.offset ?? 0;
      let end = range === undefined ? undefined : at + range.length;
      for (;;) {
        try {
          const answer = await locations.open(
            digest,
            blobCall(session, digest, { at, end, what, signal }),
          );
          let gained = 0;
          const { skip, end: stated } = checkStart(answer, { at, end, what });
          end ??= stated;
          const wanted = {
            skip,
            length: lengthOf(at, end),
            what,
            stallMs: session.stallMs,
            signal,
          };
          for await (const piece of slice(answer, wanted)) {
            at += piece.byteLength;
            gained += piece.byteLength;
            if (gained >= leastProgressBytes) backoff.progressed();
            yield piece;
          }
          if (end === undefined || at === end) return;
          throw endedEarly(what, answer, end - at);
        } catch (error) {
          if (at === end) return;
          await backoff.failed(error);
        }
      }
    },
  };
}

interface Span {
  readonly at: number;
  /** One past the last byte, undefined while the blob's size is not known. */
  readonly end: number | undefined;
  readonly what: string;
}

function checkRange(range: ByteRange | undefined, what: string): void {
  const whole = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (range !== undefined && !(whole(range.offset) && whole(range.length)))
    throw new ModelError("INVALID_ARGUMENT", `${what}: the range is not made of whole bytes`);
}

function blobCall(session: Session, digest: ContentDigest, span: Span & Abortable): Call {
  const { at, end, what, signal } = span;
  const isWhole = at === 0 && end === undefined;
  const range = `bytes=${at}-${end === undefined ? "" : end - 1}`;
  return {
    method: "GET",
    url: session.url(`blobs/${digest}`),
    headers: { "accept-encoding": "identity", ...(isWhole ? {} : { range }) },
    accept: [200, 206],
    what,
    signal,
  };
}

/** Checks that the answer is the range asked for; a whole blob is fine too, from its start. */
function checkStart(answer: Answer, span: Span): { skip: number; end: number | undefined } {
  const { at, end, what } = span;
  const refuse = (why: string) => {
    answer.body.on("error", () => undefined).destroy();
    return new ModelError("REGISTRY_PROTOCOL", `${what}: ${answer.url.host} ${why}`);
  };
  const encoding = encodingOf(answer);
  if (encoding !== undefined) throw refuse(`sent it encoded (${encoding})`);
  if (answer.status === 200) {
    const size = contentLength(answer);
    if (size !== undefined && end !== undefined && size < end)
      throw refuse(`holds ${size} bytes of it, ${end} were asked for`);
    return { skip: at, end: size };
  }
  const served = parseContentRange(header(answer, "content-range"));
  const last = end === undefined ? (served?.size ?? Number.NaN) - 1 : end - 1;
  if (served?.first !== at || served.last !== last)
    throw refuse(
      `was asked for bytes ${at} to ${end === undefined ? "the end" : last} and sent others`,
    );
  return { skip: 0, end: served.size };
}

function lengthOf(at: number, end: number | undefined): number {
  return end === undefined ? Number.POSITIVE_INFINITY : end - at;
}

/** The body without its first `skip` bytes, at most `length` bytes of it. */
async function* slice(
  answer: Answer,
  wanted: { skip: number; length: number; what: string; stallMs: number } & Abortable,
): AsyncGenerator<Uint8Array> {
  let { skip, length } = wanted;
  const { what, signal } = wanted;
  const checkPace = createPace(wanted.stallMs, () => stalled(what, answer));
  try {
    for await (const piece of bodyPieces(answer)) {
      checkPace(piece.byteLength);
      const kept = piece.subarray(Math.min(skip, piece.byteLength)).subarray(0, length);
      skip -= Math.min(skip, piece.byteLength);
      // After the last byte the loop goes on to the body's end, so that the connection is kept.
      if (length === 0 && piece.byteLength > 0) return;
      length -= kept.byteLength;
      if (kept.byteLength > 0) yield kept;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw networkFailure(error, what, answer.url.host);
  }
}

/** Throws when a body brings less than 4 KiB in ten times the time that it may be silent. */
function createPace(stallMs: number, failure: () => Error): (bytes: number) => void {
  const windowMs = 10 * stallMs;
  let since = performance.now();
  let gained = 0;
  return (bytes) => {
    gained += bytes;
    const now = performance.now();
    if (now - since < windowMs) return;
    if (gained < leastProgressBytes) throw failure();
    [since, gained] = [now, 0];
  };
}

function stalled(what: string, answer: Answer): RequestFailure {
  const message = `${what}: ${answer.url.host} sends it too slowly to ever end`;
  return new RequestFailure("REGISTRY_UNAVAILABLE", message, { temporary: true });
}

function endedEarly(what: string, answer: Answer, missing: number): RequestFailure {
  const message = `${what}: ${answer.url.host} ended its answer ${missing} bytes early`;
  return new RequestFailure("REGISTRY_UNAVAILABLE", message, { temporary: true });
}
