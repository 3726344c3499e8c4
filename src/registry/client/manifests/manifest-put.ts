import { contentDigestOf, digestAlgorithm, isContentDigest } from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import type { ContentDescriptor } from "../../../oci/descriptor.ts";
import { discard, header } from "../http/answer.ts";
import { retrying } from "../http/retry.ts";
import type { Session } from "../session.ts";
import { checkDigest, manifestCall } from "./manifest-reader.ts";

/** A manifest to put. */
export interface PutManifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

interface StoredManifest {
  readonly descriptor: ContentDescriptor;
  /** What the registry says to list it for from now on (`OCI-Subject`). */
  readonly listedSubject: string | undefined;
}

/** Puts one manifest and nothing else (distribution-spec 1.1, "Pushing Manifests"). */
export function putManifest(
  session: Session,
  reference: string,
  manifest: PutManifest,
  options: Abortable,
): Promise<StoredManifest> {
  return retrying(session.retry, options.signal, () =>
    putOnce(session, reference, manifest, options),
  );
}

async function putOnce(
  session: Session,
  reference: string,
  manifest: PutManifest,
  options: Abortable,
): Promise<StoredManifest> {
  const { url, what, signal } = manifestCall(session, reference, options);
  const bytes = Buffer.from(manifest.bytes);
  const digest = contentDigestOf(
    bytes,
    isContentDigest(reference) ? digestAlgorithm(reference) : "sha256",
  );
  if (isContentDigest(reference) && reference !== digest)
    throw new ModelError("DIGEST_MISMATCH", `${what}: its bytes have the digest ${digest}`);
  const answer = await session.call({
    method: "PUT",
    url,
    headers: { "content-type": manifest.mediaType, "content-length": String(bytes.byteLength) },
    body: () => bytes,
    headersMs: session.commitMs,
    accept: [201],
    what,
    signal,
  });
  await discard(answer);
  const stored = header(answer, "docker-content-digest");
  if (isContentDigest(stored)) checkDigest(stored, digest, what, answer);
  const descriptor = { mediaType: manifest.mediaType, digest, size: bytes.byteLength };
  return { descriptor, listedSubject: header(answer, "oci-subject") };
}
