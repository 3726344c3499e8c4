import type { IncomingMessage, ServerResponse } from "node:http";
import * as v from "valibot";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import type { Schema } from "../api/documents.ts";
import { describeError } from "../api/error-document.ts";
import type { EventName } from "../api/routes.ts";

/** One request and its answer. */
export interface Exchange {
  readonly url: URL;
  /** Aborted when the caller goes away, or the agent ends. */
  readonly signal: AbortSignal;
  /** Reads the body as a document. Rejects with INVALID_ARGUMENT naming the field. */
  read<T>(schema: Schema<T>): Promise<T>;
  answer(status: number, content?: unknown): void;
  answerText(type: string, text: string): void;
  /** Begins an answer of events; ends it when disposed. */
  openEvents(): Events;
}

interface Events extends Disposable {
  send(name: EventName, content: unknown): void;
}

const maxBodyBytes = 4_194_304;

/** Wraps what Node's server gives; `stopped` aborts it too. */
export function createExchange(
  request: IncomingMessage,
  response: ServerResponse,
  stopped: AbortSignal,
): Exchange {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new ModelError("CANCELLED", "the caller went away"));
  });
  const answerText = (status: number, type: string, text: string) => {
    const bytes = Buffer.from(text);
    response.writeHead(status, { "content-type": type, "content-length": bytes.byteLength });
    response.end(bytes);
  };
  return {
    url: new URL(request.url ?? "/", "http://agent"),
    signal: AbortSignal.any([gone.signal, stopped]),
    read: async (schema) => {
      const body = await readBody(request);
      const limits = { maxBytes: maxBodyBytes, what: "the request's body" };
      const raw = parseJson(body, { ...limits, code: "INVALID_ARGUMENT" });
      const parsed = v.safeParse(schema, raw);
      if (parsed.success) return parsed.output;
      const [issue] = parsed.issues;
      const where = v.getDotPath(issue) ?? "the body";
      throw new ModelError("INVALID_ARGUMENT", `${where} of the request: ${issue.message}`);
    },
    answer: (status, content) => {
      if (content === undefined) response.writeHead(status).end();
      else answerText(status, "application/json", `${JSON.stringify(content)}\n`);
    },
    answerText: (type, text) => answerText(200, type, text),
    openEvents: () => {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      return {
        send: (name, content) =>
          void response.write(`event: ${name}\ndata: ${JSON.stringify(content)}\n\n`),
        [Symbol.dispose]: () => void response.end(),
      };
    },
  };
}

/** Answers with an error; a caller who is gone hears nothing. */
export function answerError(exchange: Exchange, response: ServerResponse, error: unknown): void {
  const content = describeError(error);
  if (response.headersSent) response.end();
  else exchange.answer(statuses[content.code] ?? 500, { error: content });
}

/** Statuses say to tools what codes say to us. */
const statuses: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  INVALID_REFERENCE: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  LEASE_EXISTS: 409,
  MODEL_IN_USE: 409,
  RATE_LIMITED: 503,
  REGISTRY_UNAVAILABLE: 503,
  CANCELLED: 503,
  AGENT_UNAVAILABLE: 503,
  NO_SPACE: 507,
};

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    const buffer = Buffer.from(piece as Uint8Array);
    bytes += buffer.byteLength;
    if (bytes > maxBodyBytes)
      throw new ModelError("INVALID_ARGUMENT", `the body exceeds ${maxBodyBytes} bytes`);
    pieces.push(buffer);
  }
  return Buffer.concat(pieces);
}
