import type { IncomingMessage } from "node:http";
import { ProtocolError } from "./errors.ts";

/** How much of a refused body is read away so that the client gets to see why. */
const drainBytes = 67_108_864;
const drainMs = 5_000;

/**
 * The pieces of a request's body. Throws a 413 as soon as it is known to exceed `maxBytes`, and
 * whatever the connection fails with when the client goes away in the middle.
 */
export async function* bodyPieces(
  request: IncomingMessage,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  let taken = 0;
  // Destroying the request would cut the connection before a refusal could be sent.
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    if (!(piece instanceof Uint8Array)) throw new TypeError("a request body is bytes");
    taken += piece.byteLength;
    if (taken > maxBytes) throw tooLarge(maxBytes);
    yield piece;
  }
}

/** A whole small body. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of bodyPieces(request, maxBytes)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Reads the rest of a refused body away, up to 64 MiB or 5 seconds; false when there is more. */
export async function drainBody(request: IncomingMessage): Promise<boolean> {
  if (request.complete) return true;
  if (request.socket.destroyed) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), drainMs);
  let taken = 0;
  request.on("data", (piece: Uint8Array) => {
    taken += piece.byteLength;
    if (taken > drainBytes) resolve(false);
  });
  request.once("end", () => resolve(true));
  request.once("close", () => resolve(request.complete));
  request.once("error", () => resolve(false));
  request.resume();
  const drained = await promise;
  clearTimeout(timer);
  if (!drained) request.pause();
  return drained;
}

function tooLarge(maxBytes: number): ProtocolError {
  return new ProtocolError(413, {
    code: "SIZE_INVALID",
    message: `the body is larger than the ${maxBytes} bytes allowed`,
    detail: { maxBytes },
  });
}
