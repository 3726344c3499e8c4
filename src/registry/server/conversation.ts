import type { IncomingMessage, ServerResponse } from "node:http";
import { type BasicAuth, checkAuthorization } from "./auth.ts";
import { drainBody } from "./body.ts";
import { type ProtocolError, toProtocolError } from "./errors.ts";

/** One line of an access log. */
export interface AccessRecord {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** 499 when the client went away before there was an answer. */
  readonly status: number;
  readonly durationMs: number;
  readonly remoteAddress: string | undefined;
  /** What the registry itself failed with (status 5xx), or a broken connection. */
  readonly error?: unknown;
}

/** A request to be answered. */
export interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** As sent: neither decoded nor resolved, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Answers a request in full; what it rejects with becomes the answer while there is none. */
export type Answerer = (incoming: Incoming) => Promise<void>;

export interface ConversationOptions {
  /** Everybody is let in without it. */
  readonly auth?: BasicAuth | undefined;
  /** Called once for each request, when it is answered. Must not throw. */
  readonly onRequest?: ((record: AccessRecord) => void) | undefined;
}

/** Requests and their responses, from the first byte to the last. */
export class Conversation {
  readonly #answerer: Answerer;
  readonly #options: ConversationOptions;
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  constructor(answerer: Answerer, options: ConversationOptions) {
    this.#answerer = answerer;
    this.#options = options;
  }

  /** Answers one request. Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Without a listener, a client that goes away in the middle would end the whole process.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const work = this.#answer(request, response).catch(() => void response.destroy());
    this.#running.add(work);
    await work;
    this.#running.delete(work);
  }

  /** Asks clients to leave, and waits until no request runs or `graceMs` is over. */
  async finish(graceMs: number, onEach?: () => void): Promise<void> {
    this.#closing = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = graceMs === Infinity ? undefined : setTimeout(resolve, graceMs);
    const all = Promise.all([...this.#running].map((work) => work.then(onEach)));
    await Promise.race([all, promise]);
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query } = splitTarget(request.url ?? "");
    const method = request.method ?? "";
    const startedAt = performance.now();
    let failure: unknown;
    response.setHeader("Docker-Distribution-Api-Version", "registry/2.0");
    if (this.#closing) response.setHeader("Connection", "close");
    try {
      checkAuthorization(this.#options.auth, request.headers.authorization);
      await this.#answerer({ request, response, method, path, query });
    } catch (error) {
      const refusal = toProtocolError(error);
      failure = refusal === error ? undefined : error;
      await refuse(request, response, refusal);
    }
    this.#options.onRequest?.({
      method,
      path,
      status: response.headersSent ? response.statusCode : 499,
      durationMs: performance.now() - startedAt,
      remoteAddress: request.socket.remoteAddress,
      ...(failure === undefined ? {} : { error: failure }),
    });
  }
}

/**
 * Sends an error's body in full before the rest of the request is read away, and ends the response
 * after that: a client that is still sending would otherwise see a reset instead of the answer.
 */
async function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: ProtocolError,
): Promise<void> {
  if (response.headersSent || request.socket.destroyed) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify({ errors: refusal.faults }));
  if (!request.complete) response.setHeader("Connection", "close");
  response.writeHead(refusal.status, {
    ...refusal.headers,
    "Content-Type": "application/json",
    "Content-Length": body.byteLength,
  });
  if (request.method !== "HEAD") response.write(body);
  await drainBody(request);
  response.end();
}

/** The path is taken as sent: a URL parser would resolve its `..` before anybody could refuse them. */
function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const at = target.indexOf("?");
  if (at < 0) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) };
}
