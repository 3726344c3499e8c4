import type { ContentDigest } from "../../core/digest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { uploadLocation } from "../client/blob-writer.ts";
import { type Content, contentOf, type Ground, type ManifestContent } from "./ground.ts";
import type { OpenUpload, Where } from "./ledger.ts";
import { Unmet } from "./probe.ts";
import { describe, type Said, want, wantHeader } from "./said.ts";

const artifactType = "application/vnd.ballast.check.v1+json";
const configType = "application/vnd.ballast.check.config.v1";
/** What a check may get for a manifest. */
export const acceptManifests: string = [mediaTypes.imageManifest, mediaTypes.imageIndex].join(", ");

/** Opens an upload session with POST; ends the probe where there is none. */
export async function openUpload(ground: Ground, where: Where = "here"): Promise<OpenUpload> {
  const said = await ground.ask({ method: "POST", at: "blobs/uploads/", where });
  want(said, 202);
  return takeUpload(ground, said, where);
}

/** Notes the upload session that an answer tells of. */
export function takeUpload(ground: Ground, said: Said, where: Where = "here"): OpenUpload {
  const upload = { url: locate(ground, said), where };
  ground.site.ledger.uploads.add(upload);
  return upload;
}

/** Follows an upload to where the last answer says that it goes on. */
export function moveUpload(ground: Ground, upload: OpenUpload, said: Said): void {
  upload.url = locate(ground, said);
}

function locate(ground: Ground, said: Said): URL {
  try {
    return uploadLocation(ground.site.way.session, said, "upload");
  } catch {
    throw new Unmet("wrong", `${said.status} without a Location that can be used`);
  }
}

/** Sends one piece of an upload; ends the probe where it is not taken. */
export async function sendChunk(
  ground: Ground,
  upload: OpenUpload,
  bytes: Buffer,
  offset: number,
): Promise<Said> {
  const said = await ground.ask({
    method: "PATCH",
    at: upload.url,
    headers: {
      "content-type": "application/octet-stream",
      "content-range": `${offset}-${offset + bytes.byteLength - 1}`,
    },
    body: bytes,
  });
  want(said, 202);
  moveUpload(ground, upload, said);
  return said;
}

/** Ends an upload as a blob, with the last of its bytes or without any; ends the probe where it is not taken. */
export async function finishUpload(
  ground: Ground,
  upload: OpenUpload,
  { digest, bytes }: Content,
  last: { readonly body?: Buffer; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Said> {
  const { ledger } = ground.site;
  ledger.noteBlob({ digest, size: bytes.byteLength, where: upload.where });
  const said = await ground.ask({
    method: "PUT",
    at: withDigest(upload.url, digest),
    headers: { "content-type": "application/octet-stream", ...last.headers },
    body: last.body ?? Buffer.alloc(0),
    where: upload.where,
  });
  want(said, 201, 204);
  ledger.uploads.delete(upload);
  return said;
}

/** Pushes a blob with POST and PUT, as Ballast does. */
export async function putBlob(
  ground: Ground,
  content: Content,
  where: Where = "here",
): Promise<Said> {
  const upload = await openUpload(ground, where);
  return finishUpload(ground, upload, content, { body: content.bytes });
}

/** Reads a blob that was taken a moment ago; ends the probe with "wrong" where it is not what was sent. */
export async function readBack(ground: Ground, { digest, bytes }: Content): Promise<void> {
  const said = await ground.ask({ method: "GET", at: `blobs/${digest}` });
  if (said.status === 404) throw new Unmet("wrong", "says that it is stored, then 404");
  want(said, 200);
  if (!said.body.equals(bytes)) throw new Unmet("wrong", "stores other bytes than were sent");
}

/** Gives an upload session back. */
export async function cancelUpload(ground: Ground, upload: OpenUpload): Promise<Said> {
  const said = await ground.ask({ method: "DELETE", at: upload.url, where: upload.where });
  if (said.status < 300 || said.status === 404) ground.site.ledger.uploads.delete(upload);
  return said;
}

/** By hand: URLSearchParams would write the registry's own parameters anew, which may be signed. */
export function withDigest(url: URL, digest: ContentDigest): URL {
  const target = new URL(url);
  target.search += `${target.search === "" ? "?" : "&"}digest=${digest}`;
  return target;
}

export interface ManifestOptions {
  /** Default: the blob that is there. */
  readonly layers?: readonly Content[] | undefined;
  readonly subject?: ManifestContent | { readonly digest: ContentDigest; readonly size: number };
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** A manifest as a model's: types that no registry knows, annotations. No two are alike. */
export function makeManifest(ground: Ground, options: ManifestOptions = {}): ManifestContent {
  const blob = ground.wantBlob();
  const { layers = [blob], subject, annotations } = options;
  const describeLayer = ({ digest, bytes }: Content) => ({
    mediaType: mediaTypes.layer,
    digest,
    size: bytes.byteLength,
  });
  return manifestOf(mediaTypes.imageManifest, {
    artifactType: options.artifactType ?? artifactType,
    config: { mediaType: configType, digest: blob.digest, size: blob.bytes.byteLength },
    layers: layers.map(describeLayer),
    ...(subject === undefined ? {} : { subject: descriptorOf(subject) }),
    annotations: { "org.example.ballast-check": nextName(ground), ...annotations },
  });
}

/** An image index of these manifests. */
export function makeIndex(ground: Ground, manifests: readonly ManifestContent[]): ManifestContent {
  return manifestOf(mediaTypes.imageIndex, {
    manifests: manifests.map(descriptorOf),
    annotations: { "org.example.ballast-check": nextName(ground) },
  });
}

/** Puts a manifest under a tag or its digest; ends the probe where it is not taken. */
export async function putManifest(
  ground: Ground,
  reference: string,
  manifest: ManifestContent,
): Promise<Said> {
  const said = await offerManifest(ground, reference, manifest);
  want(said, 201);
  return said;
}

/** The same for a manifest that may be refused. */
export async function offerManifest(
  ground: Ground,
  reference: string,
  { digest, bytes, mediaType }: ManifestContent,
): Promise<Said> {
  const { ledger } = ground.site;
  ledger.noteManifest({ digest, size: bytes.byteLength, where: "here" });
  if (!reference.includes(":")) ledger.noteTag(reference);
  return ground.ask({
    method: "PUT",
    at: `manifests/${reference}`,
    headers: { "content-type": mediaType },
    body: bytes,
  });
}

/** Asks for a manifest. */
export function askManifest(
  ground: Ground,
  reference: string,
  method: "GET" | "HEAD" = "GET",
  headers: Readonly<Record<string, string>> = {},
): Promise<Said> {
  return ground.ask({
    method,
    at: `manifests/${reference}`,
    headers: { accept: acceptManifests, ...headers },
  });
}

/** Reads a manifest that should be there; ends the probe with "wrong" where it is another. */
export async function wantSameManifest(
  ground: Ground,
  reference: string,
  manifest: ManifestContent,
): Promise<Said> {
  const said = await askManifest(ground, reference);
  want(said, 200);
  if (!said.body.equals(manifest.bytes)) throw new Unmet("wrong", "sends another manifest");
  return said;
}

/** Ends the probe with "wrong" where something that was taken or deleted a moment ago is not so. */
export function wantNow(said: Said, status: number, claim: string): void {
  if (said.status !== status) throw new Unmet("wrong", `says ${claim}, then ${describe(said)}`);
}

/** Ends the probe unless the answer names the digest of what was sent. */
export function wantDigest(said: Said, { digest }: Content): void {
  wantHeader(said, "docker-content-digest", digest);
}

/** A tag that only this check has; noted when something is put there. */
export function tagName({ site }: Ground, name: string): string {
  return `${site.name}-${name}`;
}

function descriptorOf(
  manifest: ManifestContent | { readonly digest: ContentDigest; readonly size: number },
) {
  if ("size" in manifest)
    return { mediaType: mediaTypes.imageManifest, digest: manifest.digest, size: manifest.size };
  const { mediaType, digest, bytes } = manifest;
  return { mediaType, digest, size: bytes.byteLength };
}

function manifestOf(mediaType: string, fields: object): ManifestContent {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }));
  return { ...contentOf(bytes), mediaType };
}

function nextName({ site }: Ground): string {
  return `${site.name} ${site.ledger.manifests.size}`;
}
