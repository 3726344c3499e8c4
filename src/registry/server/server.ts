import type { Abortable } from "../../core/progress.ts";
import type { BasicAuth } from "./auth.ts";
import type { AccessRecord, Answerer } from "./conversation.ts";
import type { RegistryLimits } from "./exchange.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";
import { openRepositories } from "./repositories.ts";
import { matchRoute } from "./routes.ts";
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

/** Closing it removes the uploads that are not finished. */
export type RegistryServer = HttpServer;

/**
 * Starts an OCI registry (distribution-spec 1.1) over a folder; aborting `signal` closes it.
 * Rejects with STORE_IO when it cannot listen or use the folder.
 */
export async function startRegistry(options: RegistryOptions): Promise<RegistryServer> {
  const { root, limits = {}, signal } = options;
  signal?.throwIfAborted();
  const repositories = await openRepositories(root);
  const uploads = new UploadSessions(limits.maxUploads ?? 1000, limits.uploadIdleMs ?? 3_600_000);
  const maxBlobBytes = limits.maxBlobBytes ?? Number.MAX_SAFE_INTEGER;
  const state = { repositories, uploads, maxBlobBytes };
  const answer: Answerer = async ({ request, response, method, path, query }) => {
    const { route, repository, reference } = matchRoute(method, path);
    await route({ request, response, state, repository, reference, query });
  };
  const server = await startHttpServer(answer, options).catch(async (error: unknown) => {
    await uploads[Symbol.asyncDispose]();
    throw error;
  });

  const stop = async () => {
    await server.close();
    await uploads[Symbol.asyncDispose]();
    await repositories[Symbol.asyncDispose]();
  };
  let stopping: Promise<void> | undefined;
  const close = () => (stopping ??= stop());
  signal?.addEventListener("abort", () => void close(), { once: true });
  return { ...server, close, [Symbol.asyncDispose]: close };
}
