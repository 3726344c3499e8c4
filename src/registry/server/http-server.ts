import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { SecureContextOptions } from "node:tls";
import { ModelError, systemCode } from "../../core/errors.ts";
import { boundConnections } from "./bounds/connection-count.ts";
import { admitPipelined } from "./bounds/pipelined-requests.ts";
import { type Answerer, Conversation, type ConversationOptions } from "./conversation.ts";
import type { RegistryLimits } from "./limits.ts";

/** PEM texts. */
export interface TlsIdentity {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  /** Authorities of client certificates, which clients then need. */
  readonly clientAuthority?: string | Buffer | undefined;
}

export interface HttpServerOptions extends ConversationOptions {
  /** Default 127.0.0.1 and a free port. */
  readonly listen?:
    | { readonly host?: string | undefined; readonly port?: number | undefined }
    | undefined;
  /** HTTPS when given. */
  readonly tls?: TlsIdentity | undefined;
  /** Called when the grace of a stop is over: what requests still wait for is to end now. */
  readonly onCut?: (() => void) | undefined;
  readonly limits?:
    | Pick<
        RegistryLimits,
        | "maxConnections"
        | "maxConnectionsPerAddress"
        | "headersMs"
        | "connectionIdleMs"
        | "closeGraceMs"
      >
    | undefined;
}

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** `host:port`, as it stands in a reference. */
  readonly address: string;
  /** Connections that are open. */
  countConnections(): Promise<number>;
  /** Shows another certificate to those who connect from now on. Throws when it is none. */
  useIdentity(tls: TlsIdentity): void;
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
  server.on("request", (request, response) => {
    if (admitPipelined(request, response)) void conversation.serve(request, response);
  });
  const address = await listen(server, options);

  const stop = async () => {
    const closed = once(server, "close");
    server.close();
    await conversation.finish(limits.closeGraceMs ?? 5000, () => server.closeIdleConnections());
    options.onCut?.();
    server.closeAllConnections();
    await Promise.all([closed, conversation.finish(Infinity)]);
  };
  let stopping: Promise<void> | undefined;
  const close = () => (stopping ??= stop());
  const url = `${tls === undefined ? "http" : "https"}://${address}`;
  const useIdentity = (identity: TlsIdentity) => {
    if (server instanceof TlsServer) server.setSecureContext(secureContext(identity));
  };
  const countConnections = async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    server.getConnections((_, count) => resolve(count));
    return promise;
  };
  return { url, address, countConnections, useIdentity, close, [Symbol.asyncDispose]: close };
}

function createHttpServer({ tls, limits = {} }: HttpServerOptions): Server {
  // No limit on a whole request: an upload may take hours. Silence has one.
  const { headersMs = 30_000, maxConnectionsPerAddress } = limits;
  const timeouts = {
    requestTimeout: 0,
    headersTimeout: headersMs,
    connectionsCheckingInterval: Math.ceil(headersMs / 4),
    keepAliveTimeout: 65_000,
  };
  const requestCert = tls?.clientAuthority !== undefined;
  const server =
    tls === undefined
      ? createServer(timeouts)
      : createTlsServer({
          ...timeouts,
          ...secureContext(tls),
          requestCert,
          handshakeTimeout: headersMs,
        });
  if (maxConnectionsPerAddress !== undefined) boundConnections(server, maxConnectionsPerAddress);
  server.setTimeout(limits.connectionIdleMs ?? 300_000);
  server.maxConnections = limits.maxConnections ?? 4000;
  return server;
}

function secureContext({ key, cert, clientAuthority }: TlsIdentity): SecureContextOptions {
  return {
    key,
    cert,
    minVersion: "TLSv1.2",
    ...(clientAuthority === undefined ? {} : { ca: clientAuthority }),
  };
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
