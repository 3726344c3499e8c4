import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { KeyPair } from "./certificates.ts";

/** What a request looked like when it arrived. */
interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Said instead of what a good registry would say. */
interface OtherAnswer {
  /** Destroys the connection instead of answering. */
  readonly reset?: boolean | undefined;
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
}

/** Replaces one answer: the first queued one whose pattern fits `METHOD /path?query` is used, once. */
interface QueuedAnswer extends OtherAnswer {
  readonly on: RegExp;
}

/** What goes wrong with one answer that carries a blob. */
export interface BlobFault {
  /** Leaves answers with fewer bytes alone. */
  readonly leastBytes?: number | undefined;
  /** Bytes of the body that are sent before the connection breaks. */
  readonly resetAfter?: number | undefined;
  /** Bytes of the body that are sent before nothing more comes. */
  readonly stallAfter?: number | undefined;
  /** Bytes that Content-Length and body leave out at the end. */
  readonly shortBy?: number | undefined;
  readonly ignoreRange?: boolean | undefined;
  readonly contentRange?: string | undefined;
  readonly contentEncoding?: string | undefined;
  /** Other bytes than the right ones, as many. */
  readonly replace?: ((bytes: Buffer) => Buffer) | undefined;
}

export interface FaultRegistryOptions {
  readonly tls?: KeyPair | undefined;
  readonly auth?: "bearer" | "basic" | undefined;
}

/** A small registry in memory that misbehaves on request. */
export interface FaultRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly url: string;
  readonly blobs: Map<string, Buffer>;
  /** By tag and by digest. */
  readonly manifests: Map<string, { mediaType: string; bytes: Buffer }>;
  readonly seen: SeenRequest[];
  readonly answers: QueuedAnswer[];
  readonly blobFaults: BlobFault[];
  /** Asked about each request that no queued answer fits. */
  intercept: ((seen: SeenRequest) => OtherAnswer | undefined) | undefined;
  /** Bytes of an upload's body after which the connection is destroyed, one for each upload. */
  readonly uploadResets: number[];
  /** Sends GET and HEAD of blobs elsewhere. */
  redirectBlobs: ((digest: string) => string) | undefined;
  /** What an upload's Location becomes on the wire. */
  rewriteLocation: (path: string) => string;
  /** Bearer tokens that are accepted; each token the realm gives out is added. */
  readonly tokens: Set<string>;
  /** `user:password` that realm and Basic take; undefined takes everybody. */
  login: string | undefined;
  expiresIn: number | undefined;
  /** Adds a blob and returns its digest. */
  addBlob(bytes: Buffer): string;
  /** Shows this certificate from now on and closes every connection. Only with TLS. */
  changeCertificate(pair: KeyPair): void;
  /** Connections it has accepted so far. */
  connections(): number;
  /** The requests that fit, as `METHOD /path?query`. */
  lines(pattern?: RegExp): string[];
}

/** Starts the registry on 127.0.0.1. */
export async function startFaultRegistry(
  options: FaultRegistryOptions = {},
): Promise<FaultRegistry> {
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    serve(registry, options, request, response).catch(() => response.destroy());
  };
  const listener =
    options.tls === undefined
      ? createServer(answer)
      : createTlsServer({ key: options.tls.key, cert: options.tls.certificate }, answer);
  let connections = 0;
  listener.on("connection", () => (connections += 1));
  const listening = Promise.withResolvers<void>();
  listener.once("error", listening.reject).listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const registry: FaultRegistry = {
    host,
    url: `${options.tls === undefined ? "http" : "https"}://${host}`,
    blobs: new Map(),
    manifests: new Map(),
    seen: [],
    answers: [],
    blobFaults: [],
    intercept: undefined,
    uploadResets: [],
    redirectBlobs: undefined,
    rewriteLocation: (path) => path,
    tokens: new Set(),
    login: undefined,
    expiresIn: undefined,
    addBlob(bytes) {
      const digest = sha256(bytes);
      registry.blobs.set(digest, bytes);
      return digest;
    },
    changeCertificate({ key, certificate: cert }) {
      if ("setSecureContext" in listener) listener.setSecureContext({ key, cert });
      listener.closeAllConnections();
    },
    connections: () => connections,
    lines: (pattern = /./) =>
      registry.seen
        .map(({ method, url }) => `${method} ${url}`)
        .filter((line) => pattern.test(line)),
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise((done) => listener.close(done));
    },
  };
  return registry;
}

async function serve(
  registry: FaultRegistry,
  options: FaultRegistryOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url = "" } = request;
  const body = await readBody(
    request,
    method === "PUT" ? registry.uploadResets.shift() : undefined,
  );
  const seen = { method, url, headers: request.headers, body };
  registry.seen.push(seen);
  const at = registry.answers.findIndex(({ on }) => on.test(`${method} ${url}`));
  const [queued] = at < 0 ? [registry.intercept?.(seen)] : registry.answers.splice(at, 1);
  if (queued?.reset === true) return void response.destroy();
  if (queued !== undefined)
    return reply(response, queued.status ?? 200, queued.headers, queued.body);
  if (url.startsWith("/token")) return giveToken(registry, seen, response);
  if (url.startsWith("/storage/")) return sendBlob(registry, seen, response);
  if (!mayPass(registry, options, seen)) return challenge(registry, options, seen, response);
  return serveRegistry(registry, seen, response);
}

/** Throws once more than `most` bytes have come. */
async function readBody(
  request: IncomingMessage,
  most = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.byteLength;
    if (bytes > most) throw new Error("enough");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function serveRegistry(registry: FaultRegistry, seen: SeenRequest, response: ServerResponse): void {
  const { pathname } = new URL(seen.url, registry.url);
  if (pathname.includes("/blobs/uploads/")) return serveUpload(registry, seen, response);
  if (pathname.includes("/manifests/")) return serveManifest(registry, seen, response);
  if (pathname.endsWith("/tags/list")) {
    const tags = [...registry.manifests.keys()].filter((key) => !key.includes(":"));
    return reply(response, 200, {}, JSON.stringify({ name: "x", tags }));
  }
  const digest = pathname.split("/").at(-1) ?? "";
  if (registry.redirectBlobs !== undefined)
    return reply(response, 307, { location: registry.redirectBlobs(digest) });
  return sendBlob(registry, seen, response);
}

function mayPass(
  registry: FaultRegistry,
  { auth }: FaultRegistryOptions,
  { headers }: SeenRequest,
): boolean {
  const { authorization = "" } = headers;
  if (auth === undefined) return true;
  return auth === "bearer"
    ? registry.tokens.has(authorization.replace("Bearer ", ""))
    : authorization === basic(registry.login ?? "");
}

function challenge(
  registry: FaultRegistry,
  { auth }: FaultRegistryOptions,
  seen: SeenRequest,
  response: ServerResponse,
): void {
  const name = /^\/v2\/(.+?)\/(?:blobs|manifests|tags)\//.exec(seen.url)?.[1] ?? "";
  const scope = `repository:${name}:${/^(GET|HEAD)$/.test(seen.method) ? "pull" : "pull,push"}`;
  const asked =
    auth === "basic"
      ? 'Basic realm="a, b"'
      : `Bearer realm="${registry.url}/token",service="faults",scope="${scope}"`;
  reply(response, 401, { "www-authenticate": asked }, errorBody("UNAUTHORIZED"));
}

function giveToken(registry: FaultRegistry, seen: SeenRequest, response: ServerResponse): void {
  const { login, expiresIn } = registry;
  const refresh = new URLSearchParams(seen.body.toString()).get("refresh_token");
  const welcome =
    login === undefined || seen.headers.authorization === basic(login) || refresh === login;
  if (!welcome) return reply(response, 401, {}, "{}");
  const token = randomUUID();
  registry.tokens.add(token);
  const named = seen.method === "POST" ? { access_token: token } : { token };
  reply(response, 200, {}, JSON.stringify({ ...named, expires_in: expiresIn }));
}

function serveUpload(registry: FaultRegistry, seen: SeenRequest, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(seen.url, registry.url);
  const from = searchParams.get("from");
  const digest = searchParams.get("digest") ?? searchParams.get("mount") ?? "";
  if (seen.method === "DELETE") return reply(response, 204);
  if (seen.method === "POST") {
    if (from !== null && registry.blobs.has(digest)) return reply(response, 201);
    const location = registry.rewriteLocation(`${pathname}${randomUUID()}?_state=a%20b%2Bc`);
    return reply(response, 202, { location });
  }
  if (sha256(seen.body) !== digest) return reply(response, 400, {}, errorBody("DIGEST_INVALID"));
  registry.blobs.set(digest, seen.body);
  return reply(response, 201);
}

function serveManifest(registry: FaultRegistry, seen: SeenRequest, response: ServerResponse): void {
  const reference = seen.url.split("/").at(-1) ?? "";
  if (seen.method === "PUT") {
    const mediaType = seen.headers["content-type"] ?? "";
    const digest = sha256(seen.body);
    for (const key of [reference, digest])
      registry.manifests.set(key, { mediaType, bytes: seen.body });
    return reply(response, 201, { "docker-content-digest": digest });
  }
  const found = registry.manifests.get(reference);
  if (seen.method === "DELETE" && found !== undefined) {
    const digest = sha256(found.bytes);
    for (const [key, { bytes }] of registry.manifests)
      if (key === reference || (reference === digest && sha256(bytes) === digest))
        registry.manifests.delete(key);
    return reply(response, 202);
  }
  if (found === undefined) return reply(response, 404, {}, errorBody("MANIFEST_UNKNOWN"));
  response.writeHead(200, {
    "content-type": found.mediaType,
    "content-length": found.bytes.byteLength,
    "docker-content-digest": sha256(found.bytes),
  });
  response.end(seen.method === "HEAD" ? undefined : found.bytes);
}

/** Sends a blob or a range of it, with the next queued fault when it is a GET. */
function sendBlob(registry: FaultRegistry, seen: SeenRequest, response: ServerResponse): void {
  const digest = new URL(seen.url, registry.url).pathname.split("/").at(-1) ?? "";
  const blob = registry.blobs.get(digest);
  if (blob === undefined) return reply(response, 404, {}, errorBody("BLOB_UNKNOWN"));
  const asked = /^bytes=(\d+)-(\d*)$/.exec(seen.headers.range ?? "");
  const size = Number(asked?.[2] || blob.byteLength - 1) - Number(asked?.[1] ?? 0) + 1;
  const fits = ({ leastBytes = 0 }: BlobFault) => seen.method === "GET" && size >= leastBytes;
  const at = registry.blobFaults.findIndex(fits);
  const [fault = {}] = at < 0 ? [] : registry.blobFaults.splice(at, 1);
  const isRange = asked !== null && fault.ignoreRange !== true;
  const first = isRange ? Number(asked[1]) : 0;
  const last = isRange && asked[2] !== "" ? Number(asked[2]) : blob.byteLength - 1;
  if (isRange && last >= blob.byteLength)
    return reply(response, 416, { "content-range": `bytes */${blob.byteLength}` });
  const right = blob.subarray(first, last + 1 - (fault.shortBy ?? 0));
  const bytes = fault.replace?.(right) ?? right;
  const contentRange = fault.contentRange ?? `bytes ${first}-${last}/${blob.byteLength}`;
  response.writeHead(isRange ? 206 : 200, {
    "content-length": bytes.byteLength,
    ...(isRange ? { "content-range": contentRange } : {}),
    ...(fault.contentEncoding === undefined ? {} : { "content-encoding": fault.contentEncoding }),
  });
  if (seen.method === "HEAD") return void response.end();
  if (fault.resetAfter !== undefined)
    return void response.write(bytes.subarray(0, fault.resetAfter), () => response.destroy());
  if (fault.stallAfter !== undefined)
    return void response.write(bytes.subarray(0, fault.stallAfter));
  response.end(bytes);
}

function reply(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body = "",
): void {
  const length =
    response.req.method === "HEAD" ? {} : { "content-length": Buffer.byteLength(body) };
  response.writeHead(status, { ...length, ...headers }).end(body);
}

/** A registry's error body with one error. */
export function errorBody(code: string, message = "", detail?: unknown): string {
  return JSON.stringify({ errors: [{ code, message, detail }] });
}

/** The digest of `bytes` as registries write it. */
export function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The Authorization header for `user:password`. */
export function basic(login: string): string {
  return `Basic ${Buffer.from(login).toString("base64")}`;
}
