import type { Digest } from "../../core/digest.ts";
import { isRepository } from "../../core/reference.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { bodyPieces } from "./body.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";
import { parseChunkRange } from "./range.ts";
import { requireDigest } from "./references.ts";
import type { UploadSession } from "./upload-sessions.ts";

/**
 * POST: opens an upload (202); with `digest` takes the whole blob at once (201); with `mount` and
 * `from` links a blob of another repository (201), or opens an upload when it cannot (202).
 */
export async function startUpload(exchange: Exchange): Promise<void> {
  const { state, repository, query } = exchange;
  const digest = query.has("digest") ? requireDigest(query.get("digest")) : undefined;
  const mount = query.has("mount") ? requireDigest(query.get("mount")) : undefined;
  const layout = await state.repositories.create(repository);
  if (mount !== undefined && (await mountBlob(exchange, layout, mount)))
    return answerCreated(exchange, mount);
  const session = state.uploads.start(repository, layout);
  if (digest === undefined) answerSession(exchange, session, 202);
  else await state.uploads.use(session, () => finish(exchange, session, digest));
}

/** GET: how much of the upload is there. */
export function getUpload(exchange: Exchange): Promise<void> {
  answerSession(exchange, findSession(exchange), 204);
  return Promise.resolve();
}

/** PATCH: the next chunk; with `Content-Range` it must start where the last one ended, else 416. */
export async function patchUpload(exchange: Exchange): Promise<void> {
  const { state } = exchange;
  const session = findSession(exchange);
  await state.uploads.use(session, async () => {
    checkChunk(exchange, session);
    await takeBody(exchange, session);
    answerSession(exchange, session, 202);
  });
}

/** PUT: the last chunk, which may be empty or the whole blob, and the digest of everything. */
export async function finishUpload(exchange: Exchange): Promise<void> {
  const { state, query } = exchange;
  const session = findSession(exchange);
  const digest = requireDigest(query.get("digest"));
  await state.uploads.use(session, async () => {
    checkChunk(exchange, session);
    await finish(exchange, session, digest);
  });
}

/** DELETE: gives the upload up. */
export async function cancelUpload(exchange: Exchange): Promise<void> {
  const { state } = exchange;
  const session = findSession(exchange);
  await state.uploads.use(session, () => state.uploads.end(session));
  answerEmpty(exchange, 204);
}

function findSession({ state, repository, reference }: Exchange): UploadSession {
  return state.uploads.find(repository, reference);
}

/** Asks for nothing but the name: the account that reads one repository reads them all. */
async function mountBlob(
  { state, query }: Exchange,
  layout: OciLayout,
  digest: Digest,
): Promise<boolean> {
  if ((await layout.statBlob(digest)) !== undefined) return true;
  const from = query.get("from") ?? "";
  const source = isRepository(from) ? await state.repositories.find(from) : undefined;
  return source !== undefined && (await layout.linkBlob(digest, source.blobs));
}

async function finish(exchange: Exchange, session: UploadSession, digest: Digest): Promise<void> {
  const { state } = exchange;
  try {
    await takeBody(exchange, session);
    await session.ingest.commit({ digest });
  } finally {
    await state.uploads.end(session);
  }
  answerCreated(exchange, digest);
}

/** What was taken of a body that breaks off is of no use: the hash has seen it. So the upload ends. */
async function takeBody(exchange: Exchange, session: UploadSession): Promise<void> {
  const { request, state } = exchange;
  try {
    await session.ingest.append(bodyPieces(request, state.maxBlobBytes - session.ingest.size));
  } catch (error) {
    await state.uploads.end(session);
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
  if (range.first !== session.ingest.size)
    throw new ProtocolError(
      416,
      { code: "BLOB_UPLOAD_INVALID", message: `the next byte is ${session.ingest.size}` },
      sessionHeaders(repository, session),
    );
}

function answerSession(exchange: Exchange, session: UploadSession, status: number): void {
  answerEmpty(exchange, status, sessionHeaders(exchange.repository, session));
}

/** An empty upload says `0-0` too, as every registry does; a client that takes it for one byte gets 416. */
function sessionHeaders(repository: string, { id, ingest }: UploadSession): Record<string, string> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: `0-${Math.max(ingest.size - 1, 0)}`,
    "Docker-Upload-UUID": id,
  };
}

function answerCreated(exchange: Exchange, digest: Digest): void {
  answerEmpty(exchange, 201, {
    Location: `/v2/${exchange.repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  });
}
