import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { ModelError, systemCode } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { BasicAuth } from "./auth.ts";
import { type AccessRecord, Conversation } from "./conversation.ts";
import type { RegistryLimits } from "./exchange.ts";
import { openRepositories } from "./repositories.ts";
import { UploadSessions } from "./upload-sessions.ts";

export interface RegistryOptions extends Abortable {
  /** Folder of the repositories; made where missing. docs/registry.md specifies what is in it. */
  readonly root: string;
  /** Default 127.0.0.1 and a free port. */
  readonly listen?:
    | { readonly host?: string | undefined; readonly port?: number | undefined }
    | undefined;
  /** PEM texts; HTTPS when given. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined;
  /** Everybody may read and write without it. */
  readonly auth?: BasicAuth | undefined;
  readonly limits?: RegistryLimits | undefined;
  /** Called once for each request, when it is answered. Must not throw. */
  readonly onRequest?: ((record: AccessRecord) => void) | undefined;
}

export interface RegistryServer extends AsyncDisposable {
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** `host:port`, as it stands in a reference. */
  readonly address: string;
  /**
   * Stops listening, waits for running requests up to the grace time, then cuts them. Uploads that
   * are not finished are removed. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Starts an OCI registry (distribution-spec 1.1) over a folder; aborting `signal` closes it.
 * Rejects with STORE_IO when it cannot listen or use the folder.
 */
export async function startRegistry(options: RegistryOptions): Promise<RegistryServer> {
  const { root, auth, limits = {}, onRequest, signal } = options;
  signal?.throwIfAborted();
  const repositories = await openRepositories(root);
  const uploads = new UploadSessions(limits.maxUploads ?? 1000, limits.uploadIdleMs ?? 3_600_000);
  const maxBlobBytes = limits.maxBlobBytes ?? Number.MAX_SAFE_INTEGER;
  const state = { repositories, uploads, maxBlobBytes };
  const conversation = new Conversation(state, { auth, onRequest });
  const server = createHttpServer(options);
  server.on("request", (request, response) => void conversation.serve(request, response));
  const address = await listen(server, options).catch(async (error: unknown) => {
    await uploads[Symbol.asyncDispose]();
    throw error;
  });

  const stop = async () => {
    const closed = once(server, "close");
    server.close();
    await conversation.finish(limits.closeGraceMs ?? 5000, () => server.closeIdleConnections());
    server.closeAllConnections();
    await Promise.all([closed, conversation.finish(Infinity)]);
    await uploads[Symbol.asyncDispose]();
    await repositories[Symbol.asyncDispose]();
  };
  let stopping: Promise<void> | undefined;
  const close = () => (stopping ??= stop());
  signal?.addEventListener("abort", () => void close(), { once: true });

  const url = `${options.tls === undefined ? "http" : "https"}://${address}`;
  return { url, address, close, [Symbol.asyncDispose]: close };
}

function createHttpServer({ tls, limits = {} }: RegistryOptions): Server {
  // No limit on a whole request: an upload may take hours. Silence has one.
  const timeouts = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 65_000 };
  const server =
    tls === undefined ? createServer(timeouts) : createTlsServer({ ...timeouts, ...tls });
  server.setTimeout(limits.connectionIdleMs ?? 300_000);
  server.maxConnections = limits.maxConnections ?? 4000;
  return server;
}

async function listen(server: Server, { listen: where }: RegistryOptions): Promise<string> {
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
