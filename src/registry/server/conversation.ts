import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { drainBody } from "./body.ts";
import { type ProtocolError, toProtocolError } from "./errors.ts";

/** One line of an access log. */
export interface AccessRecord {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** 499 when the client went away before there was an answer, 408 when it was cut. */
  readonly status: number;
  readonly durationMs: number;
  readonly remoteAddress: string | undefined;
  /** The account that asked; undefined for nobody in particular. */
  readonly user: string | undefined;
  /** Also in the answer, as X-Request-Id. */
  readonly requestId: string;
  /** Bytes of request and answer, heads included. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** What the registry itself failed with (status 5xx), or a broken connection. */
  readonly error?: unknown;
}

/** What is found out about a request while it is answered, for the log. */
interface RequestFacts {
  user?: string | undefined;
}

/** A request to be answered. */
export interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** As sent: neither decoded nor resolved, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly facts: RequestFacts;
}

/** Answers a request in full; what it rejects with becomes the answer while there is none. */
export type Answerer = (incoming: Incoming) => Promise<void>;

export interface ConversationOptions {
  /** Called once for each request, when it is answered. Must not throw. */
  readonly onRequest?: ((record: AccessRecord) => void) | undefined;
}

/** Requests and their responses, from the first byte to the last. */
export class Conversation {
  readonly #answerer: Answerer;
  readonly #options: ConversationOptions;
  readonly #running = new Map<Promise<void>, ServerResponse>();
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
    this.#running.set(work, response);
    await work;
    this.#running.delete(work);
  }

  /** Asks clients to leave, and waits until no request runs or `graceMs` is over. */
  async finish(graceMs: number, onEach?: () => void): Promise<void> {
    this.#closing = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = graceMs === Infinity ? undefined : setTimeout(resolve, graceMs);
    for (const response of this.#running.values())
      if (!response.headersSent) response.setHeader("Connection", "close");
    const all = Promise.all([...this.#running.keys()].map((work) => work.then(onEach)));
    await Promise.race([all, promise]);
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query } = splitTarget(request.url ?? "");
    const method = request.method ?? "";
    const startedAt = performance.now();
    const facts: RequestFacts = {};
    let failure: unknown;
    let unsent = 499;
    const requestId = randomUUID();
    const traffic = startTraffic(request.socket);
    response.setHeader("X-Request-Id", requestId);
    response.setHeader("Docker-Distribution-Api-Version", "registry/2.0");
    if (this.#closing) response.setHeader("Connection", "close");
    try {
      await this.#answerer({ request, response, method, path, query, facts });
    } catch (error) {
      const refusal = toProtocolError(error);
      failure = refusal === error ? undefined : error;
      if (refusal.status === 408) unsent = 408;
      await refuse(request, response, refusal);
    }
    this.#options.onRequest?.({
      method,
      path,
      status: response.headersSent ? response.statusCode : unsent,
      durationMs: performance.now() - startedAt,
      remoteAddress: request.socket.remoteAddress,
      user: facts.user,
      requestId,
      ...traffic(),
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

/** What connections had carried when their last request was answered. */
const carried = new WeakMap<Socket, { readonly bytesIn: number; readonly bytesOut: number }>();

/** Counts what a connection carries for a request, the head that is there already included. */
function startTraffic(socket: Socket): () => { bytesIn: number; bytesOut: number } {
  const before = carried.get(socket) ?? { bytesIn: 0, bytesOut: 0 };
  return () => {
    const now = { bytesIn: socket.bytesRead, bytesOut: socket.bytesWritten };
    carried.set(socket, now);
    return { bytesIn: now.bytesIn - before.bytesIn, bytesOut: now.bytesOut - before.bytesOut };
  };
}

/** The path is taken as sent: a URL parser would resolve its `..` before anybody could refuse them. */
function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const at = target.indexOf("?");
  if (at < 0) return { path: target, query: new URLSearchParams() };
  return { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) };
}
