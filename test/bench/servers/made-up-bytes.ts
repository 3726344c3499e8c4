import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { markOf } from "../models/made-up-content.ts";
import type { MadeUpChunk } from "../models/simulated-model.ts";

const zeros = Buffer.alloc(1_048_576);

/**
 * Answers a GET of a made-up layer, or of a range of it, without ever having its bytes. `onBytes`
 * hears of each piece.
 */
export async function sendMadeUp(
  request: IncomingMessage,
  response: ServerResponse,
  chunks: readonly MadeUpChunk[],
  onBytes: (bytes: number) => void,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const first = Number(asked?.[1] ?? 0);
  const last = asked?.[2] ? Math.min(Number(asked[2]), size - 1) : size - 1;
  response.writeHead(asked === null ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": last - first + 1,
    ...(asked === null ? {} : { "content-range": `bytes ${first}-${last}/${size}` }),
  });
  if (request.method !== "HEAD")
    for (const piece of piecesOf(chunks, first, last + 1)) {
      onBytes(piece.byteLength);
      if (!response.write(piece)) await once(response, "drain", { signal: gone.signal });
    }
  response.end();
}

/** The bytes from `from` up to `to` of chunks that lie end to end. */
function* piecesOf(
  chunks: readonly MadeUpChunk[],
  from: number,
  to: number,
): Generator<Buffer, void, undefined> {
  let at = 0;
  for (const { number, size } of chunks) {
    const [start, end] = [Math.max(from - at, 0), Math.min(to - at, size)];
    at += size;
    if (start >= end) continue;
    const mark = markOf(number, size);
    const body = size - mark.byteLength;
    for (let zero = start; zero < Math.min(end, body); zero += zeros.byteLength)
      yield zeros.subarray(0, Math.min(end, body) - zero);
    if (end > body) yield mark.subarray(Math.max(start - body, 0), end - body);
  }
}
