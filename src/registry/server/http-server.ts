import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { ModelError, systemCode } from "../../core/errors.ts";
import { type Answerer, Conversation, type ConversationOptions } from "./conversation.ts";
import type { RegistryLimits } from "./exchange.ts";

export interface HttpServerOptions extends ConversationOptions {
  /** Default 127.0.0.1 and a free port. */
  readonly listen?:
    | { readonly host?: string | undefined; readonly port?: number | undefined }
    | undefined;
  /** PEM texts; HTTPS when given. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined;
  readonly limits?:
    | Pick<RegistryLimits, "maxConnections" | "connectionIdleMs" | "closeGraceMs">
    | undefined;
}

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** `host:port`, as it stands in a reference. */
  readonly address: string;
  /** Stops listening, waits for running requests up to the grace time, then cuts them. Idempotent. */
  close(): Promise<void>;
}

/** Has `answer` answer what comes. Rejects with STORE_IO when it cannot listen. */
export async function startHttpServer(
  answer: Answerer,
  options: HttpServerOptions,
): Promise<HttpServer> {
  const { tls, limits = {} } = options;
  const conversation = new Conversation(answer, options);
  const server = createHttpServer(options);
  server.on("request", (request, response) => void conversation.serve(request, response));
  const address = await listen(server, options);

  const stop = async () => {
    const closed = once(server, "close");
    server.close();
    await conversation.finish(limits.closeGraceMs ?? 5000, () => server.closeIdleConnections());
    server.closeAllConnections();
    await Promise.all([closed, conversation.finish(Infinity)]);
  };
  let stopping: Promise<void> | undefined;
  const close = () => (stopping ??= stop());
  const url = `${tls === undefined ? "http" : "https"}://${address}`;
  return { url, address, close, [Symbol.asyncDispose]: close };
}

function createHttpServer({ tls, limits = {} }: HttpServerOptions): Server {
  // No limit on a whole request: an upload may take hours. Silence has one.
  const timeouts = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 65_000 };
  const server =
    tls === undefined ? createServer(timeouts) : createTlsServer({ ...timeouts, ...tls });
  server.setTimeout(limits.connectionIdleMs ?? 300_000);
  server.maxConnections = limits.maxConnections ?? 4000;
  return server;
}

async function listen(server: Server, { listen: where }: HttpServerOptions): Promise<string> {
  const { host = "127.0.0.1", port = 0 } = where ?? {};
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    throw new ModelError("STORE_IO", `cannot listen on ${host}:${port}: ${systemCode(error)}`, {
      hint: systemCode(error) === "EADDRINUSE" ? "another program uses this port" : undefined,
      cause: error,
    });
  }
  const bound = server.address();
  if (bound === null || typeof bound === "string")
    throw new ModelError("STORE_IO", `cannot listen on ${host}:${port}`);
  const name = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  return `${name}:${bound.port}`;
}
