import { isContentDigest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import { isTag } from "../../core/reference.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { type ManifestLinks, parseManifestLinks } from "../../oci/layout/manifest-links.ts";
import type { FetchedManifest } from "../../oci/repository.ts";
import { readBody } from "./body.ts";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";
import { requireContentDigest } from "./references.ts";
import { requireRepository } from "./repositories.ts";
import { sendManifest } from "./send-manifest.ts";

/** Tags that one PUT may name in its query; a server has to take ten. */
const maxTags = 100;
const maxTypeLength = 255;
/** A type and a subtype (RFC 6838, section 4.2). */
const mediaTypePattern = /^[a-z0-9][\w!#$&^.+-]{0,126}\/[a-z0-9][\w!#$&^.+-]{0,126}$/i;

/** GET and HEAD of a manifest, by tag or digest, with the media type it was pushed with. */
export async function getManifest(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const layout = await requireRepository(state.repositories, repository);
  sendManifest(exchange, await fetchManifest(layout, reference));
}

/**
 * PUT of a manifest, under a tag or its digest, and under each tag that a `tag` of the query names;
 * what it names must be there, but not its subject.
 */
export async function putManifest(exchange: Exchange): Promise<void> {
  const { request, response, state, repository, reference, query } = exchange;
  checkWritableReference(reference);
  const tags = [...new Set(query.getAll("tag"))];
  checkTags(tags);
  const bytes = await readBody(request, state.maxManifestBytes);
  const links = parseManifestLinks(bytes, "the manifest");
  checkLayerCount(links, state.maxLayers);
  const mediaType = pushedMediaType(request.headers["content-type"], links);
  const layout = await state.repositories.create(repository);
  const { digest } = await layout.putManifest(reference, { mediaType, bytes }, { tags });
  if (tags.length > 0) response.setHeader("OCI-Tag", tags);
  answerEmpty(exchange, 201, {
    Location: `/v2/${repository}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(links.subject === undefined || state.offers.referrers === false
      ? {}
      : { "OCI-Subject": links.subject.digest }),
  });
}

/** DELETE of a tag (its manifest stays), or of a manifest by digest with every tag it has. */
export async function deleteManifest(exchange: Exchange): Promise<void> {
  const { state, repository, reference } = exchange;
  const layout = await requireRepository(state.repositories, repository);
  checkReference(reference);
  const deleted = isContentDigest(reference)
    ? await layout.deleteManifest(reference)
    : await layout.deleteTag(reference);
  if (!deleted) throw manifestUnknown(reference);
  answerEmpty(exchange, 202);
}

async function fetchManifest(layout: OciLayout, reference: string): Promise<FetchedManifest> {
  checkReference(reference);
  try {
    return await layout.fetchManifest(reference);
  } catch (error) {
    if (isModelError(error, "NOT_FOUND")) throw manifestUnknown(reference);
    throw error;
  }
}

/** What can be no tag and no digest is nowhere; what looks like a digest is said to be none. */
function checkReference(reference: string): void {
  if (isContentDigest(reference) || isTag(reference)) return;
  if (reference.includes(":")) requireContentDigest(reference);
  throw manifestUnknown(reference);
}

/** The header decides; a `mediaType` field inside that says otherwise is a forgery or a mistake. */
function pushedMediaType(header: string | undefined, links: ManifestLinks): string {
  const stated = header?.split(";")[0]?.trim() ?? "";
  const type = stated || links.mediaType;
  if (!mediaTypePattern.test(type) || (links.artifactType ?? "").length > maxTypeLength)
    throw new ProtocolError(400, {
      code: "MANIFEST_INVALID",
      message: `${JSON.stringify(type.slice(0, 200))} or its artifactType is no media type`,
    });
  if (stated === "") return links.mediaType;
  if (links.statesMediaType && links.mediaType.toLowerCase() !== stated.toLowerCase())
    throw new ProtocolError(400, {
      code: "MANIFEST_INVALID",
      message: `Content-Type is ${stated}, the manifest says ${links.mediaType}`,
    });
  return stated;
}

/** What a manifest requires beside its config. */
function checkLayerCount({ required }: ManifestLinks, maxLayers: number): void {
  if (required.length - 1 <= maxLayers) return;
  throw new ProtocolError(400, {
    code: "MANIFEST_INVALID",
    message: `the manifest has more than the ${maxLayers} layers allowed`,
    detail: { maxLayers },
  });
}

function checkWritableReference(reference: string): void {
  if (isContentDigest(reference) || isTag(reference)) return;
  const code = reference.includes(":") ? "DIGEST_INVALID" : "MANIFEST_INVALID";
  throw new ProtocolError(400, { code, message: "the reference is no tag and no digest" });
}

function checkTags(tags: readonly string[]): void {
  if (tags.length > maxTags)
    throw new ProtocolError(414, {
      code: "UNSUPPORTED",
      message: `at most ${maxTags} tags at a time`,
    });
  for (const tag of tags)
    if (!isTag(tag))
      throw new ProtocolError(400, {
        code: "MANIFEST_INVALID",
        message: `${JSON.stringify(tag.slice(0, 200))} is no tag`,
      });
}

function manifestUnknown(reference: string): ProtocolError {
  return new ProtocolError(404, {
    code: "MANIFEST_UNKNOWN",
    message: "no such manifest",
    detail: { reference: reference.slice(0, 200) },
  });
}
