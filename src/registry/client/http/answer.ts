import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { isRecord } from "../../../core/chunk-index.ts";
import { networkFailure } from "./request-failure.ts";

/** What came back for one request. Its body must be read or discarded. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable;
  /** The URL that answered. */
  readonly url: URL;
}

/** One error of a registry's answer (distribution-spec 1.1, "Error Codes"). */
export interface RegistryError {
  readonly code: string;
  /** One line, bounded, without query strings; empty where there was none. */
  readonly message: string;
  readonly detail: string;
}

const maxErrorBytes = 8192;
const maxMessageLength = 300;
const maxDiscardBytes = 65_536;

/** One header's value; several of a name are joined with commas. */
export function header(answer: Pick<Answer, "headers">, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** A header that counts bytes, or undefined when it is absent or no whole number. */
export function contentLength(answer: Pick<Answer, "headers">): number | undefined {
  const text = header(answer, "content-length");
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** How the body is encoded (RFC 9110 8.4), for a message; undefined when it is not. */
export function encodingOf(answer: Pick<Answer, "headers">): string | undefined {
  const encoding = header(answer, "content-encoding")?.toLowerCase() ?? "";
  return encoding === "" || encoding === "identity" ? undefined : encoding.slice(0, 20);
}

/** Reads the body up to `limit` bytes; undefined when it is longer. Rejects as `networkFailure` says. */
export async function readBody(
  answer: Answer,
  limit: number,
  options: { readonly what: string; readonly signal?: AbortSignal | undefined },
): Promise<Buffer | undefined> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of bodyPieces(answer)) {
      bytes += piece.byteLength;
      if (bytes > limit) return undefined;
      pieces.push(piece);
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    throw networkFailure(error, options.what, answer.url.host);
  }
  return Buffer.concat(pieces);
}

/** The body's pieces as bytes; leaving the loop early closes the connection. */
export function bodyPieces(answer: Answer): AsyncIterable<Uint8Array> {
  // Left early, undici's body ends with an error that nobody waits for any more.
  answer.body.on("error", () => undefined);
  return answer.body;
}

/** Gives the body up; a short one is read to its end so that the connection can be used again. */
export async function discard(answer: Answer): Promise<void> {
  let bytes = 0;
  try {
    for await (const piece of bodyPieces(answer)) {
      bytes += piece.byteLength;
      if (bytes > maxDiscardBytes) return;
    }
  } catch {
    return; // Nobody wants these bytes, so nobody needs to know that they were cut short.
  }
}

/** The errors a registry listed in its answer; none when the body is anything else. Consumes the body. */
export async function readRegistryErrors(answer: Answer): Promise<RegistryError[]> {
  let text = "";
  try {
    for await (const piece of bodyPieces(answer)) {
      text += Buffer.from(piece).toString("latin1");
      if (text.length >= maxErrorBytes) break;
    }
    const root: unknown = JSON.parse(Buffer.from(text, "latin1").toString("utf8"));
    if (!isRecord(root) || !Array.isArray(root["errors"])) return [];
    return root["errors"].filter(isRecord).map((error) => ({
      code: oneLine(typeof error["code"] === "string" ? error["code"] : ""),
      message: oneLine(typeof error["message"] === "string" ? error["message"] : ""),
      detail: oneLine(JSON.stringify(error["detail"] ?? "")),
    }));
  } catch {
    return []; // The status says enough; an unreadable explanation must not hide it.
  }
}

/** Makes foreign text fit for a message: one bounded line, no control characters, no URL secrets. */
export function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .replace(/\?[^\s"'<>)]*/g, "")
    .replace(/\b(\w+:\/\/)[^\s/]*@/g, "$1")
    .trim()
    .slice(0, maxMessageLength);
}
