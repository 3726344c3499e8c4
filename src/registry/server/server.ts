import type { ListenAddress } from "../../core/listen-address.ts";
import type { Abortable } from "../../core/progress.ts";
import { type AccountOptions, openAccounts } from "./accounts/open-accounts.ts";
import { createAnswerer } from "./answer.ts";
import { createDiskWatermark } from "./bounds/disk-watermark.ts";
import type { AccessRecord } from "./conversation.ts";
import { createGate } from "./gate.ts";
import { type HttpServer, startHttpServer, type TlsIdentity } from "./http-server.ts";
import { contentBounds, type RegistryLimits } from "./limits.ts";
import type { RegistryOffers } from "./offers.ts";
import type { PruneReport } from "./pruning.ts";
import { openRoot } from "./root.ts";
import { type BlobRedirects, SignedBlobs } from "./signed-blobs.ts";
import { followIdentity, openIdentity, type TlsFiles } from "./tls-identity.ts";
import { createHealth } from "./watch/health.ts";
import { startWatch } from "./watch/watch.ts";

export interface RegistryOptions extends Abortable, AccountOptions {
  /** Folder of the repositories; made where missing. docs/registry.md specifies what is in it. */
  readonly root: string;
  /** Default 127.0.0.1 and a free port. */
  readonly listen?:
    | { readonly host?: string | undefined; readonly port?: number | undefined }
    | undefined;
  /** HTTPS when given. */
  readonly tls?: TlsIdentity | TlsFiles | undefined;
  readonly limits?: RegistryLimits | undefined;
  /** Collects what no tag reaches, this often; never without it. */
  readonly pruneEveryMs?: number | undefined;
  /** How long a collection leaves content that nothing reaches; default a day. */
  readonly pruneGraceMs?: number | undefined;
  /** Called after each collection. Must not throw. */
  readonly onPrune?: ((report: PruneReport) => void) | undefined;
  /** What is not offered, for tests of those who meet other registries. */
  readonly offers?: RegistryOffers | undefined;
  /** Sends readers of blobs on to signed URLs of this server. */
  readonly redirectBlobs?: BlobRedirects | undefined;
  /** Serves `/metrics`, and health too, without a login. Nothing is counted without it. */
  readonly metricsListen?: ListenAddress | undefined;
  /** Called once for each request, when it is answered. Must not throw. */
  readonly onRequest?: ((record: AccessRecord) => void) | undefined;
  /** Called with what an operator should know, such as a file that is broken. Must not throw. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** Uploads that are not finished when it closes go on with the next server of the folder. */
export interface RegistryServer extends Omit<HttpServer, "useIdentity" | "countConnections"> {
  /** Where metrics are served, if they are. */
  readonly metricsUrl: string | undefined;
  /** Reads the files of accounts, rules and certificate again. What is broken stays as it was. */
  reload(): Promise<void>;
}

/**
 * Starts an OCI registry (distribution-spec 1.1) over a folder; aborting `signal` closes it.
 * Rejects with STORE_LOCKED when another process serves it, STORE_IO when it cannot listen or use
 * the folder.
 */
export async function startRegistry(options: RegistryOptions): Promise<RegistryServer> {
  const { root, limits = {}, signal, metricsListen, onWarning } = options;
  signal?.throwIfAborted();
  const onFault = (error: unknown) =>
    onWarning?.(error instanceof Error ? error.message : String(error));
  await using cleanups = new AsyncDisposableStack();
  const known = cleanups.use(await openAccounts(options, onFault));
  const identity = await openIdentity(options.tls, onFault);
  const pruning = readPruning(options);
  const { reserve, repositories, uploads } = cleanups.use(
    await openRoot({ root, limits, pruning, signal }),
  );
  const watermark = createDiskWatermark(root, limits);
  const health = createHealth(root, watermark);
  const { accounts, rules } = known;
  const answer = createAnswerer({
    health,
    gate: createGate({ accounts, rules, limits, watermark }),
    limits,
    signed: options.redirectBlobs && new SignedBlobs(options.redirectBlobs),
    reserve,
    state: { repositories, uploads, offers: options.offers ?? {}, ...contentBounds(limits) },
  });
  const watch =
    metricsListen && cleanups.use(await startWatch(metricsListen, { health, watermark }));
  const onRequest = (record: AccessRecord) => {
    watch?.count(record);
    options.onRequest?.(record);
  };
  const tls = await identity?.current();
  const onCut = () => uploads.stopReading();
  const server = cleanups.use(await startHttpServer(answer, { ...options, tls, onRequest, onCut }));
  if (identity !== undefined) cleanups.use(followIdentity(identity, server));
  watch?.follow(server);
  cleanups.defer(() => health.stop());

  const owned = cleanups.move();
  let stopping: Promise<void> | undefined;
  const close = () => (stopping ??= owned.disposeAsync());
  const reload = async () => {
    await known.reload();
    if (identity === undefined) return;
    await identity.reload();
    server.useIdentity(await identity.current());
  };
  signal?.addEventListener("abort", () => void close(), { once: true });
  const { url, address } = server;
  return { url, address, metricsUrl: watch?.url, reload, close, [Symbol.asyncDispose]: close };
}

function readPruning({ pruneEveryMs: everyMs, pruneGraceMs: graceMs, onPrune }: RegistryOptions) {
  return everyMs === undefined ? undefined : { everyMs, graceMs, onPrune };
}
