import { mkdtemp, readdir, rm } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Agent } from "undici";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import {
  emptyConfig,
  emptyConfigBytes,
  type Manifest,
  serializeManifest,
} from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import {
  type RegistryOptions,
  type RegistryServer,
  startRegistry,
} from "../../src/registry/server/server.ts";

export interface RawResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RawRequest {
  readonly headers?: Record<string, string> | undefined;
  readonly body?: Buffer | string | undefined;
}

type ServedRegistry = AsyncDisposable & Pick<RegistryServer, "url" | "address" | "close">;

/** A registry over a folder of its own, and requests to it as they go over the wire. */
export class RawRegistry implements AsyncDisposable {
  readonly root: string;
  readonly server: ServedRegistry;
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false } });

  constructor(root: string, server: ServedRegistry) {
    this.root = root;
    this.server = server;
  }

  async send(
    method: string,
    path: string,
    { headers, body }: RawRequest = {},
  ): Promise<RawResponse> {
    const response = await this.#agent.request({
      origin: this.server.url,
      path,
      method,
      headers: headers ?? {},
      body: body ?? null,
    });
    const bytes = Buffer.from(await response.body.arrayBuffer());
    return { status: response.statusCode, headers: response.headers, body: bytes };
  }

  /** Sends a body in pieces, without saying how long it is. */
  async sendStream(method: string, path: string, bytes: Buffer): Promise<RawResponse> {
    const pieces = function* () {
      for (let at = 0; at < bytes.byteLength; at += 65_536) yield bytes.subarray(at, at + 65_536);
    };
    const body = Readable.from(pieces());
    const response = await this.#agent.request({ origin: this.server.url, path, method, body });
    const answer = Buffer.from(await response.body.arrayBuffer());
    return { status: response.statusCode, headers: response.headers, body: answer };
  }

  async pushBlob(repository: string, bytes: Buffer): Promise<Digest> {
    const digest = digestOf(bytes);
    const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
    const { status } = await this.send("POST", path, { body: bytes });
    if (status !== 201) throw new Error(`push of a blob: ${status}`);
    return digest;
  }

  /** Pushes a manifest and the blobs of its config; under its digest when there is no tag. */
  async pushManifest(
    repository: string,
    tag?: string,
    extra: Partial<Manifest> = {},
  ): Promise<{ digest: Digest; bytes: Buffer; response: RawResponse }> {
    await this.pushBlob(repository, emptyConfigBytes);
    const bytes = serializeManifest({ config: emptyConfig, layers: [], ...extra });
    const digest = digestOf(bytes);
    const response = await this.send("PUT", `/v2/${repository}/manifests/${tag ?? digest}`, {
      headers: { "content-type": mediaTypes.imageManifest },
      body: bytes,
    });
    return { digest, bytes, response };
  }

  /** Opens an upload; resolves to its location. */
  async openUpload(repository: string): Promise<string> {
    const { status, headers } = await this.send("POST", `/v2/${repository}/blobs/uploads/`);
    if (status !== 202) throw new Error(`opening of an upload: ${status}`);
    return String(headers.location);
  }

  /** What is in the uploads folder of a repository. */
  async unfinished(repository: string): Promise<string[]> {
    const folder = join(this.root, repository.replaceAll("/", "+"), "uploads");
    return readdir(folder).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
    await this.server.close();
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Starts a registry over a new folder. */
export async function openRawRegistry(
  options: Omit<RegistryOptions, "root"> = {},
): Promise<RawRegistry> {
  const root = await mkdtemp(join(tmpdir(), "registry-"));
  return new RawRegistry(root, await startRegistry({ root, ...options }));
}

/** The code of the first error in a response's body. */
export function errorCode({ body }: RawResponse): unknown {
  const parsed = JSON.parse(body.toString()) as { errors: { code: string }[] };
  return parsed.errors[0]?.code;
}
