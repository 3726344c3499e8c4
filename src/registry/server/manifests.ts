import { isDigest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import { isTag } from "../../core/reference.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { type ManifestLinks, parseManifestLinks } from "../../oci/layout/manifest-links.ts";
import { maxManifestBytes } from "../../oci/manifest.ts";
import type { FetchedManifest } from "../../oci/repository.ts";
import { readBody } from "./body.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";
import { requireRepository } from "./repositories.ts";
import { sendManifest } from "./send-manifest.ts";

/** GET and HEAD of a manifest, by tag or digest, with the media type it was pushed with. */
export async function getManifest(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const layout = await requireRepository(state.repositories, repository);
  sendManifest(exchange, await fetchManifest(layout, reference));
}

/** PUT of a manifest, under a tag or its digest; what it names must be there, but not its subject. */
export async function putManifest(exchange: Exchange): Promise<void> {
  const { request, state, repository, reference } = exchange;
  checkWritableReference(reference);
  const bytes = await readBody(request, maxManifestBytes);
  const links = parseManifestLinks(bytes, "the manifest");
  const mediaType = pushedMediaType(request.headers["content-type"], links);
  const layout = await state.repositories.create(repository);
  const { digest } = await layout.putManifest(reference, { mediaType, bytes });
  answerEmpty(exchange, 201, {
    Location: `/v2/${repository}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(links.subject === undefined ? {} : { "OCI-Subject": links.subject.digest }),
  });
}

/** DELETE of a tag (its manifest stays), or of a manifest by digest with every tag it has. */
export async function deleteManifest(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const layout = await requireRepository(state.repositories, repository);
  const deleted = isDigest(reference)
    ? await layout.deleteManifest(reference)
    : isTag(reference) && (await layout.deleteTag(reference));
  if (!deleted) throw manifestUnknown(reference);
  answerEmpty(exchange, 202);
}

async function fetchManifest(layout: OciLayout, reference: string): Promise<FetchedManifest> {
  if (!isDigest(reference) && !isTag(reference)) throw manifestUnknown(reference);
  try {
    return await layout.fetchManifest(reference);
  } catch (error) {
    if (isModelError(error, "NOT_FOUND")) throw manifestUnknown(reference);
    throw error;
  }
}

/** The header decides; a `mediaType` field inside that says otherwise is a forgery or a mistake. */
function pushedMediaType(header: string | undefined, links: ManifestLinks): string {
  const stated = header?.split(";")[0]?.trim() ?? "";
  if (stated === "") return links.mediaType;
  if (links.statesMediaType && links.mediaType.toLowerCase() !== stated.toLowerCase())
    throw new ProtocolError(400, {
      code: "MANIFEST_INVALID",
      message: `Content-Type is ${stated}, the manifest says ${links.mediaType}`,
    });
  return stated;
}

function checkWritableReference(reference: string): void {
  if (isDigest(reference) || isTag(reference)) return;
  const code = reference.includes(":") ? "DIGEST_INVALID" : "MANIFEST_INVALID";
  throw new ProtocolError(400, { code, message: "the reference is no tag and no sha256 digest" });
}

function manifestUnknown(reference: string): ProtocolError {
  return new ProtocolError(404, {
    code: "MANIFEST_UNKNOWN",
    message: "no such manifest",
    detail: { reference: reference.slice(0, 200) },
  });
}
