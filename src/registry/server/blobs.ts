import type { Digest } from "../../core/digest.ts";
import type { OpenedBlob } from "../../oci/layout/blob-folder.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange, hasCurrent } from "./exchange.ts";
import { parseRange, type SatisfiedRange } from "./range.ts";
import { entityTag, requireDigest } from "./references.ts";
import { requireRepository } from "./repositories.ts";
import { sendFile } from "./send-file.ts";

/** GET and HEAD of a blob; GET answers one `Range` with 206 (RFC 9110, section 14). */
export async function getBlob(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const digest = requireDigest(reference);
  const layout = await requireRepository(state.repositories, repository);
  await using blob = await layout.openBlob(digest);
  if (blob === undefined)
    throw new ProtocolError(404, {
      code: "BLOB_UNKNOWN",
      message: "no such blob in the repository",
      detail: { digest },
    });
  if (hasCurrent(exchange, entityTag(digest))) answerEmpty(exchange, 304, validators(digest));
  else await sendBlob(exchange, digest, blob);
}

async function sendBlob(exchange: Exchange, digest: Digest, blob: OpenedBlob): Promise<void> {
  const { request, response } = exchange;
  const range = requestedRange(exchange, digest, blob.size);
  const slice = range ?? { offset: 0, length: blob.size };
  const last = slice.offset + slice.length - 1;
  response.writeHead(range === undefined ? 200 : 206, {
    ...validators(digest),
    "Content-Type": "application/octet-stream",
    "Content-Length": slice.length,
    ...(range === undefined
      ? {}
      : { "Content-Range": `bytes ${slice.offset}-${last}/${blob.size}` }),
  });
  if (request.method !== "HEAD") await sendFile(response, blob.file, slice);
  response.end();
}

/** Only GET has ranges, and `If-Range` must name this very content. */
function requestedRange(
  { request }: Exchange,
  digest: Digest,
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

function validators(digest: Digest): Record<string, string> {
  return {
    "Docker-Content-Digest": digest,
    ETag: entityTag(digest),
    "Accept-Ranges": "bytes",
  };
}
