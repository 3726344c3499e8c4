import type { IncomingMessage } from "node:http";
import type { Batch } from "../../oci/layout/blob-ingest.ts";
import { BodyGathering } from "./body-gathering.ts";
import { ProtocolError } from "./errors.ts";

/** How much of a refused body is read away so that the client gets to see why. */
const drainBytes = 67_108_864;
const drainMs = 5_000;

/**
 * A request's body, batch by batch. Throws a 413 as soon as it is known to exceed `maxBytes`, and
 * whatever the connection fails with when the client goes away in the middle.
 */
export async function* bodyBatches(
  request: IncomingMessage,
  maxBytes: number,
): AsyncGenerator<Batch> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  // Destroying the request would cut the connection before a refusal could be sent.
  using gathering = new BodyGathering(request);
  let taken = 0;
  for (;;) {
    const batch = await gathering.next();
    if (batch === undefined) return;
    for (const { byteLength } of batch) taken += byteLength;
    if (taken > maxBytes) throw tooLarge(maxBytes);
    yield batch;
  }
}

/** A whole small body. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const batch of bodyBatches(request, maxBytes)) pieces.push(...batch);
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
