import { isRecord } from "../../../core/chunk-index.ts";
import {
  type ContentDigest,
  contentDigestOf,
  digestAlgorithm,
  isContentDigest,
} from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import type { Abortable } from "../../../core/progress.ts";
import type { ContentDescriptor } from "../../../oci/descriptor.ts";
import { maxManifestBytes } from "../../../oci/manifest.ts";
import { acceptedManifestTypes } from "../../../oci/manifest-types.ts";
import { mediaTypes } from "../../../oci/media-types.ts";
import type { FetchedManifest, ManifestReader } from "../../../oci/repository.ts";
import {
  type Answer,
  contentLength,
  discard,
  encodingOf,
  header,
  readBody,
} from "../http/answer.ts";
import { retrying } from "../http/retry.ts";
import type { Call, Session } from "../session.ts";

const accept = acceptedManifestTypes.join(", ");

/** Reads manifests of one repository (distribution-spec 1.1, "Pulling manifests"). */
export function createManifestReader(
  session: Session,
): Pick<ManifestReader, "resolveManifest" | "fetchManifest"> {
  return {
    resolveManifest: (reference, options = {}) => resolveManifest(session, reference, options),
    fetchManifest: (reference, options = {}) =>
      retrying(session.retry, options.signal, () => fetchManifest(session, reference, options)),
  };
}

/** See `ManifestReader`. */
export function resolveManifest(
  session: Session,
  reference: string,
  options: Abortable,
): Promise<ContentDescriptor | undefined> {
  return retrying(session.retry, options.signal, () => resolve(session, reference, options));
}

/** Like `fetchManifest` of a `ManifestReader`, but undefined when there is none. */
export function fetchIfThere(
  session: Session,
  reference: string,
  options: Abortable,
): Promise<FetchedManifest | undefined> {
  return retrying(session.retry, options.signal, () =>
    fetchManifest(session, reference, options, [200, 404]),
  );
}

/** What all requests for one manifest have in common. */
export function manifestCall(
  session: Session,
  reference: string,
  { signal }: Abortable,
): Omit<Call, "method" | "accept"> {
  return {
    url: session.url(`manifests/${reference}`),
    headers: { accept, "accept-encoding": "identity" },
    what: `manifest ${reference} of ${session.host}/${session.repository}`,
    signal,
  };
}

async function resolve(
  session: Session,
  reference: string,
  options: Abortable,
): Promise<ContentDescriptor | undefined> {
  const call = manifestCall(session, reference, options);
  const answer = await session.call({ ...call, method: "HEAD", accept: [200, 404, 405] });
  await discard(answer);
  if (answer.status === 404) return undefined;
  const digest = header(answer, "docker-content-digest");
  const size = contentLength(answer);
  const mediaType = statedType(answer);
  if (
    answer.status === 200 &&
    isContentDigest(digest) &&
    size !== undefined &&
    mediaType !== undefined
  ) {
    checkDigest(digest, isContentDigest(reference) ? reference : undefined, call.what, answer);
    return { mediaType, digest, size };
  }
  return (await fetchManifest(session, reference, options, [200, 404]))?.descriptor;
}

async function fetchManifest(
  session: Session,
  reference: string,
  options: Abortable,
): Promise<FetchedManifest>;
async function fetchManifest(
  session: Session,
  reference: string,
  options: Abortable,
  accepted: readonly number[],
): Promise<FetchedManifest | undefined>;
async function fetchManifest(
  session: Session,
  reference: string,
  options: Abortable,
  accepted: readonly number[] = [200],
): Promise<FetchedManifest | undefined> {
  const call = manifestCall(session, reference, options);
  const { what, signal } = call;
  const answer = await session.call({ ...call, method: "GET", accept: accepted });
  if (answer.status === 404) return discard(answer).then(() => undefined);
  checkForm(answer, what);
  const bytes = await readBody(answer, maxManifestBytes, { what, signal });
  if (bytes === undefined)
    throw new ModelError("INVALID_MANIFEST", `${what} is larger than ${maxManifestBytes} bytes`);
  const claimed = header(answer, "docker-content-digest");
  const stated = isContentDigest(claimed) ? claimed : undefined;
  const asked = isContentDigest(reference) ? reference : stated;
  const digest = contentDigestOf(bytes, asked === undefined ? "sha256" : digestAlgorithm(asked));
  checkDigest(digest, asked, what, answer);
  if (stated !== undefined && digestAlgorithm(stated) === digestAlgorithm(digest))
    checkDigest(digest, stated, what, answer);
  const mediaType = statedType(answer) ?? innerType(bytes, what) ?? mediaTypes.imageManifest;
  return { descriptor: { mediaType, digest, size: bytes.byteLength }, bytes };
}

/** Throws DIGEST_MISMATCH. */
export function checkDigest(
  actual: ContentDigest,
  expected: ContentDigest | undefined,
  what: string,
  answer: Answer,
): void {
  if (expected !== undefined && actual !== expected)
    throw new ModelError(
      "DIGEST_MISMATCH",
      `${what}: expected ${expected}, got ${actual} from ${answer.url.host}`,
    );
}

/** Refuses what is no manifest before its bytes are read: an encoded body, a web page. */
function checkForm(answer: Answer, what: string): void {
  const encoding = encodingOf(answer);
  const isPage = /^text\/html/i.test(header(answer, "content-type") ?? "");
  if (encoding === undefined && !isPage) return;
  answer.body.on("error", () => undefined).destroy();
  const form = isPage ? "a web page" : `it encoded (${encoding})`;
  throw new ModelError("REGISTRY_PROTOCOL", `${what}: ${answer.url.host} sent ${form}`, {
    hint: isPage
      ? `is ${answer.url.host} a registry, and is there a login page in between?`
      : undefined,
  });
}

/** The media type of the answer, unless it is one that says nothing. */
function statedType(answer: Answer): string | undefined {
  const type = header(answer, "content-type")?.split(";")[0]?.trim().toLowerCase();
  return type !== undefined && type.startsWith("application/vnd.") ? type : undefined;
}

function innerType(bytes: Buffer, what: string): string | undefined {
  const limits = { maxBytes: maxManifestBytes, what, code: "INVALID_MANIFEST" } as const;
  const root = parseJson(bytes, limits);
  const type = isRecord(root) ? root["mediaType"] : undefined;
  return typeof type === "string" ? type : undefined;
}
