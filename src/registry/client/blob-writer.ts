import type { ContentDigest } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { BlobBody, BlobReceiver, BlobWriter } from "../../oci/repository.ts";
import { repositoryScope } from "./auth/scope.ts";
import { type Answer, discard, header } from "./http/answer.ts";
import { refusal } from "./http/refusal.ts";
import { RequestFailure } from "./http/request-failure.ts";
import { retrying } from "./http/retry.ts";
import type { Call, Session } from "./session.ts";
import { createUploadBody, type UploadBody } from "./upload-body.ts";

interface Blob {
  readonly digest: ContentDigest;
  readonly size: number;
}

/** Statuses of a registry that has forgotten an upload session, or does not take it up where we are. */
const lostSession = [404, 410, 416];

/** Writes blobs of one repository: POST, then one PUT (distribution-spec 1.1, "POST then PUT"). */
export function createBlobWriter(session: Session): BlobWriter & BlobReceiver {
  return {
    async putBlob(blob, body, options = {}) {
      const failure = await retrying(session.retry, options.signal, () =>
        upload(session, blob, body, options),
      );
      if (failure !== undefined) throw failure.error;
    },
    async receiveBlob(blob, send, { signal } = {}) {
      const what = `blob ${blob.digest} to ${session.host}/${session.repository}`;
      const url = await retrying(session.retry, signal, () =>
        openUpload(session, blob, { what, signal }),
      );
      const terms = await session.describe({ method: "PUT", url, signal });
      if (terms === undefined) return false;
      const headers = { ...terms.headers, "content-type": "application/octet-stream" };
      const status = await send({ ...terms, headers, commitMs: session.commitMs });
      return status === 201 || status === 204;
    },
    mountBlob: (digest, fromRepository, options = {}) =>
      retrying(session.retry, options.signal, () =>
        mount(session, digest, fromRepository, options),
      ),
  };
}

/** One try. Resolves to what the body itself failed with: trying again is not for this side to decide. */
async function upload(
  session: Session,
  blob: Blob,
  body: BlobBody,
  { signal }: Abortable,
): Promise<UploadBody["failure"]> {
  const what = `blob ${blob.digest} to ${session.host}/${session.repository}`;
  const location = await openUpload(session, blob, { what, signal });
  const source = createUploadBody(body, {
    ...blob,
    what,
    host: location.host,
    stallMs: session.stallMs,
  });
  try {
    const answer = await session.call({
      method: "PUT",
      url: location,
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(blob.size),
      },
      body: blob.size === 0 ? () => Buffer.alloc(0) : () => source.pieces(),
      headersMs: session.commitMs,
      accept: [201, 204, ...lostSession],
      onExpiry: "restart",
      what,
      signal: signal === undefined ? source.signal : AbortSignal.any([signal, source.signal]),
    });
    if (lostSession.includes(answer.status)) throw await sessionLost(answer, what);
    await discard(answer);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    if (source.failure === undefined) throw error;
    return source.failure;
  }
}

/** Opens an upload session; resolves to where one PUT brings all of the blob. */
async function openUpload(
  session: Session,
  blob: Blob,
  { what, signal }: Pick<Call, "what" | "signal">,
): Promise<URL> {
  const opened = await session.call({
    method: "POST",
    url: session.url("blobs/uploads/"),
    headers: { "content-length": "0" },
    counts: "free", // Registries count the blobs that are put.
    accept: [202],
    what,
    signal,
  });
  await discard(opened);
  const location = uploadLocation(session, opened, what);
  // By hand: URLSearchParams would write the registry's own parameters anew, which may be signed.
  location.search += `${location.search === "" ? "?" : "&"}digest=${blob.digest}`;
  return location;
}

async function sessionLost(answer: Answer, what: string): Promise<RequestFailure> {
  const { message, code, hint } = await refusal(answer, { what });
  return new RequestFailure(code, `${message} (the upload session was lost)`, {
    temporary: true,
    hint,
  });
}

/**
 * Where the upload goes on. A registry behind a proxy may leave out its port or its TLS: the same
 * host without a port means the registry itself.
 */
export function uploadLocation(
  session: Session,
  answer: Pick<Answer, "headers" | "url">,
  what: string,
): URL {
  const text = header(answer, "location");
  const refuse = (why: string) =>
    new ModelError("REGISTRY_PROTOCOL", `${what}: ${answer.url.host} opened an upload ${why}`);
  if (text === undefined || !URL.canParse(text, answer.url.href))
    throw refuse("without a Location");
  const url = new URL(text, answer.url);
  if (!/^https?:$/.test(url.protocol)) throw refuse(`at ${url.protocol}`);
  const { origin } = session;
  if (url.hostname === origin.hostname && url.port === "")
    return new URL(`${url.pathname}${url.search}`, origin);
  if (origin.protocol === "https:" && url.protocol === "http:") throw refuse("without TLS");
  return url;
}

async function mount(
  session: Session,
  digest: ContentDigest,
  fromRepository: string,
  { signal }: Abortable,
): Promise<boolean> {
  const what = `blob ${digest} from ${fromRepository} into ${session.host}/${session.repository}`;
  const url = session.url("blobs/uploads/");
  url.searchParams.set("mount", digest);
  url.searchParams.set("from", fromRepository);
  try {
    const answer = await session.call({
      method: "POST",
      url,
      headers: { "content-length": "0" },
      accept: [201, 202, 405],
      scopes: [...session.scopes, repositoryScope(fromRepository, false)],
      what,
      signal,
    });
    await discard(answer);
    if (answer.status === 202) await cancel(session, answer, what, signal);
    return answer.status === 201;
  } catch (error) {
    if (isModelError(error, "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND")) return false;
    throw error;
  }
}

/** Gives an upload session back. A registry forgets it by itself too, so failures do not matter. */
async function cancel(
  session: Session,
  opened: Answer,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const answer = await session.call({
      method: "DELETE",
      url: uploadLocation(session, opened, what),
      accept: [202, 204],
      what,
      signal,
    });
    await discard(answer);
  } catch (error) {
    signal?.throwIfAborted();
    if (!isModelError(error)) throw error;
  }
}
