import type { IncomingMessage, ServerResponse } from "node:http";
import type { ContentBounds } from "./limits.ts";
import type { RegistryOffers } from "./offers.ts";
import type { Repositories } from "./repositories.ts";
import type { SignedBlobs } from "./signed-blobs.ts";
import type { UploadSessions } from "./upload-sessions.ts";

/** What all requests of one registry share. */
export interface RegistryState extends ContentBounds {
  readonly repositories: Repositories;
  readonly uploads: UploadSessions;
  readonly offers: RegistryOffers;
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
  /** Whether whoever asks may read another repository. */
  readonly mayRead: (repository: string) => boolean;
  /** Where readers of a blob are sent on to, unless this is where they were sent. */
  readonly redirects?: SignedBlobs | undefined;
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

/** Answers with bytes, and the status set, which is 200 at first; to HEAD with their headers only. */
export function answerBytes(
  { response }: Pick<Exchange, "response">,
  bytes: Buffer,
  headers: Readonly<Record<string, string | number>>,
): void {
  const { statusCode } = response;
  response.writeHead(statusCode, { "Content-Length": bytes.byteLength, ...headers }).end(bytes);
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
