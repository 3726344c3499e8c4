import { type ContentDigest, type DigestAlgorithm, digestAlgorithm } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import type { BlobIngest } from "../../oci/layout/blob-ingest.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { bodyBatches } from "./body.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";
import { mountBlob } from "./mount.ts";
import { parseChunkRange } from "./range.ts";
import { requireContentDigest } from "./references.ts";
import type { UploadSession } from "./upload-sessions.ts";

/**
 * POST: opens an upload (202); with `digest` takes the whole blob at once (201); with `mount` links
 * a blob of another repository (201), or opens an upload when it cannot (202).
 */
export async function startUpload(exchange: Exchange): Promise<void> {
  const { state, repository, query } = exchange;
  const digest = query.has("digest") ? requireContentDigest(query.get("digest")) : undefined;
  const mount = query.has("mount") ? requireContentDigest(query.get("mount")) : undefined;
  const algorithm = statedAlgorithm(query.get("digest-algorithm"));
  const layout = await state.repositories.create(repository);
  if (mount !== undefined && (await mountBlob(exchange, layout, mount)))
    return answerCreated(exchange, mount);
  if (digest !== undefined) return takeWhole(exchange, layout, digest);
  answerSession(exchange, await state.uploads.start(repository, layout, algorithm), 202);
}

/** GET: how much of the upload is there. */
export function getUpload(exchange: Exchange): Promise<void> {
  const session = findSession(exchange);
  answerSession(exchange, session, 204);
  exchange.state.uploads.prepare(session);
  return Promise.resolve();
}

/** PATCH: the next chunk; with `Content-Range` it must start where the last one ended, else 416. */
export async function patchUpload(exchange: Exchange): Promise<void> {
  const { state } = exchange;
  const session = findSession(exchange);
  await state.uploads.use(session, async (ingest) => {
    checkChunk(exchange, session);
    await takeBody(exchange, session, ingest);
    answerSession(exchange, session, 202);
  });
}

/** PUT: the last chunk, which may be empty or the whole blob, and the digest of everything. */
export async function finishUpload(exchange: Exchange): Promise<void> {
  const { state, query } = exchange;
  const session = findSession(exchange);
  const digest = requireContentDigest(query.get("digest"));
  await state.uploads.use(session, async (ingest) => {
    checkChunk(exchange, session);
    await takeBody(exchange, session, ingest, { isWhole: ingest.size === 0 });
    try {
      await ingest.commit({ digest });
    } finally {
      await state.uploads.end(session);
    }
  });
  answerCreated(exchange, digest);
}

/** DELETE: gives the upload up. */
export async function cancelUpload(exchange: Exchange): Promise<void> {
  const { state } = exchange;
  await state.uploads.cancel(findSession(exchange));
  answerEmpty(exchange, 204);
}

function findSession({ state, repository, reference }: Exchange): UploadSession {
  return state.uploads.find(repository, reference);
}

async function takeWhole(
  exchange: Exchange,
  layout: OciLayout,
  digest: ContentDigest,
): Promise<void> {
  const { request, state } = exchange;
  await state.uploads.takeWhole(layout, digestAlgorithm(digest), async (ingest) => {
    await ingest.append(bodyBatches(request, state.maxBlobBytes));
    await ingest.commit({ digest });
  });
  answerCreated(exchange, digest);
}

/**
 * Of a body that breaks off, what arrived stays: its sender asks how much that is and goes on. One
 * that is too long, that the disk does not take, or that was to be the whole blob (whose sender begins
 * anew) ends the upload.
 */
async function takeBody(
  { request, state }: Exchange,
  session: UploadSession,
  ingest: BlobIngest,
  { isWhole = false } = {},
): Promise<void> {
  try {
    await ingest.append(bodyBatches(request, state.maxBlobBytes - ingest.size));
  } catch (error) {
    const tooLong = error instanceof ProtocolError && error.status === 413;
    if (isWhole || tooLong || isModelError(error)) await state.uploads.end(session);
    throw error;
  }
}

function checkChunk({ request, repository }: Exchange, session: UploadSession): void {
  const header = request.headers["content-range"];
  if (header === undefined) return;
  const range = parseChunkRange(header);
  const stated = request.headers["content-length"];
  const length = range && range.last - range.first + 1;
  if (range === undefined || (stated !== undefined && Number(stated) !== length))
    throw new ProtocolError(400, {
      code: "BLOB_UPLOAD_INVALID",
      message: `Content-Range is not <first>-<last> of this body`,
    });
  if (range.first !== session.size)
    throw new ProtocolError(
      416,
      { code: "BLOB_UPLOAD_INVALID", message: `the next byte is ${session.size}` },
      sessionHeaders(repository, session),
    );
}

function answerSession(exchange: Exchange, session: UploadSession, status: number): void {
  answerEmpty(exchange, status, sessionHeaders(exchange.repository, session));
}

/** An empty upload says `0-0` too, as every registry does; a client that takes it for one byte gets 416. */
function sessionHeaders(repository: string, { id, size }: UploadSession): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: `0-${Math.max(size - 1, 0)}`,
    "Docker-Upload-UUID": id,
  };
}

function answerCreated(exchange: Exchange, digest: ContentDigest): void {
  answerEmpty(exchange, 201, {
    Location: `/v2/${exchange.repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  });
}

/** The algorithm that the client says it will name the blob by; another costs a second reading. */
function statedAlgorithm(text: string | null): DigestAlgorithm | undefined {
  if (text === null) return undefined;
  if (text === "sha256" || text === "sha512") return text;
  throw new ProtocolError(400, {
    code: "DIGEST_INVALID",
    message: "digest-algorithm is neither sha256 nor sha512",
  });
}
