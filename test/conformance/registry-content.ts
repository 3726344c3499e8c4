import { expect } from "vitest";
import {
  type ContentDigest,
  contentDigestOf,
  type DigestAlgorithm,
} from "../../src/core/digest.ts";
import type { ContentDescriptor } from "../../src/oci/descriptor.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { RawRegistry, RawResponse } from "./raw-registry.ts";

export const algorithms: readonly DigestAlgorithm[] = ["sha256", "sha512"];

/** Bytes, and what a manifest says of them. */
export interface Content {
  readonly bytes: Buffer;
  readonly descriptor: ContentDescriptor;
  readonly digest: ContentDigest;
}

/** Describes bytes. */
export function contentOf(
  bytes: Buffer | string,
  mediaType = "application/octet-stream",
  algorithm: DigestAlgorithm = "sha256",
): Content {
  const buffer = Buffer.from(bytes);
  const digest = contentDigestOf(buffer, algorithm);
  return { bytes: buffer, digest, descriptor: { mediaType, digest, size: buffer.byteLength } };
}

/** A manifest of any fields; `mediaType` is that of an image manifest, or of an index. */
export function manifestOf(
  fields: Record<string, unknown>,
  algorithm: DigestAlgorithm = "sha256",
): Content {
  const mediaType =
    fields["manifests"] === undefined ? mediaTypes.imageManifest : mediaTypes.imageIndex;
  const document = { schemaVersion: 2, mediaType, ...fields };
  return contentOf(JSON.stringify(document), String(document.mediaType), algorithm);
}

/** Uploads a blob in one request. */
export async function putBlob(
  registry: RawRegistry,
  repository: string,
  { bytes, digest }: Content,
): Promise<RawResponse> {
  const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
  return registry.send("POST", path, { body: bytes });
}

/** Puts a manifest, under its digest when there is no other reference. */
export async function putManifest(
  registry: RawRegistry,
  repository: string,
  { bytes, descriptor, digest }: Content,
  reference: string = digest,
): Promise<RawResponse> {
  return registry.send("PUT", `/v2/${repository}/manifests/${reference}`, {
    headers: { "content-type": descriptor.mediaType },
    body: bytes,
  });
}

/** Makes a small image of two blobs of its own, and pushes all of it. */
export async function pushImage(
  registry: RawRegistry,
  repository: string,
  options: {
    readonly name: string;
    readonly algorithm?: DigestAlgorithm | undefined;
    readonly fields?: Record<string, unknown> | undefined;
    readonly tag?: string | undefined;
  },
): Promise<{ readonly manifest: Content; readonly blobs: readonly Content[] }> {
  const { name, algorithm = "sha256", fields, tag } = options;
  const config = contentOf(
    `{"name":"${name}"}`,
    "application/vnd.oci.image.config.v1+json",
    algorithm,
  );
  const layer = contentOf(`layer of ${name}`, "application/vnd.oci.image.layer.v1.tar", algorithm);
  const blobs = [config, layer];
  for (const blob of blobs) expect((await putBlob(registry, repository, blob)).status).toBe(201);
  const manifest = manifestOf(
    { config: config.descriptor, layers: [layer.descriptor], ...fields },
    algorithm,
  );
  const { status } = await putManifest(registry, repository, manifest, tag);
  expect(status).toBe(201);
  return { manifest, blobs };
}

/** Checks that a manifest comes back, byte for byte, by a reference: GET and HEAD. */
export async function expectManifest(
  registry: RawRegistry,
  repository: string,
  { bytes, descriptor, digest }: Content,
  reference: string = digest,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${reference}`;
  const [got, head] = [await registry.send("GET", path), await registry.send("HEAD", path)];
  expect(got.body.equals(bytes)).toBe(true);
  expect(head.body.byteLength).toBe(0);
  for (const { status, headers } of [got, head])
    expect([status, headers]).toMatchObject([
      200,
      {
        "content-type": descriptor.mediaType,
        "content-length": String(bytes.byteLength),
        "docker-content-digest": digest,
      },
    ]);
}

/** Checks that a blob comes back, byte for byte: GET and HEAD. */
export async function expectBlob(
  registry: RawRegistry,
  repository: string,
  { bytes, digest }: Content,
): Promise<void> {
  const path = `/v2/${repository}/blobs/${digest}`;
  const [got, head] = [await registry.send("GET", path), await registry.send("HEAD", path)];
  expect(got.body.equals(bytes)).toBe(true);
  expect(head.body.byteLength).toBe(0);
  for (const { status, headers } of [got, head])
    expect([status, headers]).toMatchObject([
      200,
      { "content-length": String(bytes.byteLength), "docker-content-digest": digest },
    ]);
}

/** The status of GET and HEAD, which must be one. */
export async function statusOf(registry: RawRegistry, path: string): Promise<number> {
  const { status } = await registry.send("GET", path);
  expect((await registry.send("HEAD", path)).status).toBe(status);
  return status;
}
