import { ModelError } from "../../core/errors.ts";
import type { BlobBody } from "../../oci/repository.ts";
import { RequestFailure } from "./http/request-failure.ts";

export interface UploadBodyOptions {
  readonly size: number;
  readonly what: string;
  readonly host: string;
  /** How long one piece may take to be taken by the network, in milliseconds. */
  readonly stallMs: number;
}

/** A body on its way out, with what went wrong on our side of it. */
export interface UploadBody {
  /** The body's pieces, small ones. Each may be changed once the next is asked for. */
  pieces(): AsyncGenerator<Uint8Array>;
  /** What the body itself failed with, which goes before any error of the connection. */
  readonly failure: { readonly error: unknown } | undefined;
  /** Aborts when a piece is not taken in time. */
  readonly signal: AbortSignal;
}

/** Each piece costs as much time on the event loop as sending it takes; a slow network gets */
const largePieceBytes = 1_048_576;
/** smaller ones, so that each is taken before it counts as stalled. */
const smallPieceBytes = 262_144;
/** The network is fast while it takes a piece in this share of what counts as a stall. */
const fastShare = 0.05;
/** A socket takes this many bytes without waiting until they are sent (Node's high water mark). */
const socketBytes = 65_536;

/**
 * Watches a body while it is sent: exactly `size` bytes (else DIGEST_MISMATCH), never longer than
 * `stallMs` in one piece (else a temporary REGISTRY_UNAVAILABLE). For one attempt.
 */
export function createUploadBody(body: BlobBody, options: UploadBodyOptions): UploadBody {
  const { size, what, host, stallMs } = options;
  const stalled = new AbortController();
  let failure: UploadBody["failure"];
  const stall = () =>
    stalled.abort(
      new RequestFailure("REGISTRY_UNAVAILABLE", `${what}: ${host} stopped taking its bytes`, {
        temporary: true,
      }),
    );

  let pieceBytes = smallPieceBytes;
  async function* checkedPieces(): AsyncGenerator<Uint8Array> {
    let sent = 0;
    for await (const piece of body()) {
      sent += piece.byteLength;
      if (sent > size) break;
      for (let at = 0; at < piece.byteLength; ) {
        const part = piece.subarray(at, at + pieceBytes);
        at += part.byteLength;
        yield keepWhileSent(part);
      }
    }
    if (sent > size)
      throw new ModelError("DIGEST_MISMATCH", `${what}: its body is longer than ${size} bytes`);
    if (sent < size)
      throw new ModelError(
        "DIGEST_MISMATCH",
        `${what}: its body ends after ${sent} of ${size} bytes`,
      );
  }

  async function* pieces(): AsyncGenerator<Uint8Array> {
    const source = checkedPieces();
    try {
      for (;;) {
        const next = await source.next().catch((error: unknown) => {
          failure = { error };
          throw error;
        });
        if (next.done === true) return;
        const timer = setTimeout(stall, stallMs);
        const begun = performance.now();
        try {
          yield next.value;
        } finally {
          clearTimeout(timer);
        }
        const isFast = performance.now() - begun < fastShare * stallMs;
        pieceBytes = isFast ? largePieceBytes : smallPieceBytes;
      }
    } finally {
      await source.return(undefined);
    }
  }

  return {
    pieces,
    signal: stalled.signal,
    get failure() {
      return failure;
    },
  };
}

/**
 * The socket holds on to a piece after the next was asked for only when it is small: then a copy of
 * it is sent. Copying all would cost a pass over memory and leave more garbage than data.
 */
function keepWhileSent(piece: Uint8Array): Uint8Array {
  return piece.byteLength < socketBytes ? Buffer.from(piece) : piece;
}
