import type { IncomingMessage, ServerResponse } from "node:http";
import type { Repositories } from "./repositories.ts";
import type { UploadSessions } from "./upload-sessions.ts";

export interface RegistryLimits {
  /** Largest blob in bytes; default none. */
  readonly maxBlobBytes?: number | undefined;
  /** Uploads open at a time; default 1000. */
  readonly maxUploads?: number | undefined;
  /** How long an upload may rest between two requests, in milliseconds; default one hour. */
  readonly uploadIdleMs?: number | undefined;
  /** Connections at a time; default 4000. */
  readonly maxConnections?: number | undefined;
  /** How long a connection may stay silent, in milliseconds; default five minutes. */
  readonly connectionIdleMs?: number | undefined;
  /** How long `close` waits for running requests, in milliseconds; default five seconds. */
  readonly closeGraceMs?: number | undefined;
}

/** What all requests of one registry share. */
interface RegistryState {
  readonly repositories: Repositories;
  readonly uploads: UploadSessions;
  readonly maxBlobBytes: number;
}

/** One request and the response to it, as a route sees them. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly state: RegistryState;
  /** Repository name of the path, checked; empty for `/v2/`. */
  readonly repository: string;
  /** Last part of the path: tag, digest or upload id, NOT checked. */
  readonly reference: string;
  readonly query: URLSearchParams;
}

/** Answers without a body. */
export function answerEmpty(
  { response }: Pick<Exchange, "response">,
  status: number,
  headers: Readonly<Record<string, string | number>> = {},
): void {
  const length = status === 204 || status === 304 ? {} : { "Content-Length": 0 };
  response.writeHead(status, { ...length, ...headers }).end();
}

/** Answers with bytes; to HEAD with their headers only. */
export function answerBytes(
  { response }: Pick<Exchange, "response">,
  bytes: Buffer,
  headers: Readonly<Record<string, string | number>>,
): void {
  response.writeHead(200, { "Content-Length": bytes.byteLength, ...headers }).end(bytes);
}

/** Answers with a JSON document. */
export function answerJson(
  exchange: Pick<Exchange, "response">,
  document: unknown,
  headers: Readonly<Record<string, string | number>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(document));
  answerBytes(exchange, bytes, { "Content-Type": "application/json", ...headers });
}

/** Tells whether the client has exactly this content already (RFC 9110, section 13.1.2). */
export function hasCurrent({ request }: Pick<Exchange, "request">, etag: string): boolean {
  const header = request.headers["if-none-match"];
  if (header === undefined) return false;
  return header.split(",").some((part) => {
    const candidate = part.trim();
    return candidate === "*" || candidate.replace(/^W\//, "") === etag;
  });
}
