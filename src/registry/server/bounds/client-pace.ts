import type { IncomingMessage, ServerResponse } from "node:http";
import { ProtocolError } from "../errors.ts";
import type { RegistryLimits } from "../limits.ts";

/** What a response is written in, at most: only a whole piece is seen to have been taken. */
const pieceBytes = 1_048_576;

/**
 * Cuts a client that sends a body, or takes an answer, so slowly that it only holds what others
 * need. Time in which this side is the slow one does not count. Ends with the response.
 */
export function requireClientPace(
  { request, response }: { request: IncomingMessage; response: ServerResponse },
  { minBytesPerSecond = 4096, paceMs = 60_000 }: RegistryLimits,
): void {
  const { socket } = request;
  const leastRead = (minBytesPerSecond * paceMs) / 1000;
  const mostRestMs = Math.max(paceMs, (pieceBytes / minBytesPerSecond) * 1000);
  let { bytesRead: read, bytesWritten: written } = socket;
  let restMs = 0;
  let waited = true;
  const look = () => {
    const waitsForBody =
      !request.complete &&
      !request.isPaused() &&
      request.readableLength < request.readableHighWaterMark;
    // One whose body was not taken until just now had no time to send more.
    const isSlow = waited && waitsForBody && socket.bytesRead - read < leastRead;
    if (isSlow) request.destroy(tooSlow());
    waited = waitsForBody;
    const waitsForReader = socket.writableLength > 0 && socket.bytesWritten === written;
    restMs = waitsForReader ? restMs + paceMs : 0;
    if (restMs >= mostRestMs) response.destroy();
    read = socket.bytesRead;
    written = socket.bytesWritten;
  };
  const timer = setInterval(look, paceMs).unref();
  response.once("close", () => clearInterval(timer));
}

/** Nobody gets to read it but the log. */
function tooSlow(): ProtocolError {
  return new ProtocolError(408, { code: "UNKNOWN", message: "the body came too slowly" });
}
