/**
 * A registry that keeps no layers: `child-made-up-registry.ts BYTES redirect|serve`. What is pushed to
 * it is counted and forgotten; what is pulled from it is a simulated model of BYTES bytes, made up
 * as it is sent, from here or from a second address that blobs are redirected to.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Digest, isDigest } from "../../../src/core/digest.ts";
import { emptyConfig, emptyConfigBytes } from "../../../src/oci/manifest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { simulateModel } from "../models/simulated-model.ts";
import { sendMadeUp } from "./made-up-bytes.ts";

const [bytes = "0", how = "serve"] = process.argv.slice(2);
const model = Number(bytes) > 0 ? simulateModel(Number(bytes)) : undefined;
const documents = new Map<string, Buffer>([[emptyConfig.digest, emptyConfigBytes]]);
const manifests = new Map<string, Buffer>();
if (model !== undefined) {
  documents.set(model.indexDigest, model.indexBytes);
  for (const name of ["v1", model.manifestDigest]) manifests.set(name, model.manifestBytes);
}
const sizes = new Map<string, number>();
const counts = { registry: 0, storage: 0, layerBytes: 0 };
let uploads = 0;

const storage = await listen((request, response) => {
  counts.storage += 1;
  return sendBlob(request, response);
});
const registry = await listen((request, response) => {
  if (request.url === "/counts") return reply(response, 200, JSON.stringify(counts));
  counts.registry += 1;
  return route(request, response);
});
const total = model?.index.files.reduce((sum, { size }) => sum + size, 0) ?? 0;
console.log(`serving ${total} bytes at ${registry} and ${storage}`);

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void> | void,
): Promise<string> {
  const server = createServer((request, response) => {
    // A client that went away is its own affair.
    Promise.try(answer, request, response).catch(() => response.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function route(request: IncomingMessage, response: ServerResponse): Promise<void> | void {
  const { method = "", url = "" } = request;
  if (url.includes("/blobs/uploads/")) return takeUpload(request, response);
  if (url.includes("/manifests/")) return serveManifest(request, response);
  if (url.includes("/tags/list")) return reply(response, 404);
  if (!url.includes("/blobs/")) return reply(response, url === "/v2/" ? 200 : 404);
  const isLayer = model?.layers.has(digestIn(url) as Digest) === true;
  if (how === "redirect" && isLayer && method === "GET") {
    response.writeHead(307, { location: `http://${storage}${url}`, "content-length": 0 }).end();
    return undefined;
  }
  return sendBlob(request, response);
}

function sendBlob(request: IncomingMessage, response: ServerResponse): Promise<void> | void {
  const digest = digestIn(request.url ?? "");
  const document = documents.get(digest);
  if (document !== undefined) return reply(response, 200, document);
  const chunks = isDigest(digest) ? model?.layers.get(digest) : undefined;
  if (chunks !== undefined) {
    return sendMadeUp(request, response, chunks, (bytes) => {
      counts.layerBytes += bytes;
    });
  }
  const size = sizes.get(digest);
  if (size === undefined) return reply(response, 404);
  if (request.method === "HEAD") response.writeHead(200, { "content-length": size }).end();
  else reply(response, 410);
  return undefined;
}

async function takeUpload(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = "", headers } = request;
  let size = 0;
  for await (const piece of request) size += (piece as Buffer).byteLength;
  counts.layerBytes += size;
  if (method === "POST") {
    uploads += 1;
    const location = `${url.split("?")[0]}upload-${uploads}`;
    response.writeHead(202, { location, "content-length": 0 }).end();
    return;
  }
  const digest = new URL(url, `http://${headers.host}`).searchParams.get("digest") ?? "";
  sizes.set(digest, size);
  reply(response, 201);
}

async function serveManifest(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = request.url?.split("/").at(-1) ?? "";
  if (request.method === "PUT") {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    manifests.set(name, Buffer.concat(pieces));
    return reply(response, 201);
  }
  const found = manifests.get(name);
  if (found === undefined) return reply(response, 404);
  response.setHeader("content-type", mediaTypes.imageManifest);
  return reply(response, 200, found);
}

function digestIn(url: string): string {
  return /sha256:[0-9a-f]{64}/.exec(url)?.[0] ?? "";
}

function reply(response: ServerResponse, status: number, body: Buffer | string = ""): void {
  const isHead = response.req.method === "HEAD";
  response.writeHead(status, { "content-length": Buffer.byteLength(body) });
  response.end(isHead ? undefined : body);
}
