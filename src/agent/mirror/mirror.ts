import { randomBytes } from "node:crypto";
import type { ListenAddress } from "../../core/listen-address.ts";
import type { Reach } from "../../model/reach.ts";
import type { AccessRecord } from "../../registry/server/conversation.ts";
import { type HttpServer, startHttpServer } from "../../registry/server/http-server.ts";
import type { Store } from "../../store/store.ts";
import type { Audit } from "../access/audit.ts";
import { createHeldContent } from "./held-content.ts";
import { createPermits } from "./permits.ts";
import { createPullApi } from "./pull-api.ts";
import { nameRepository } from "./registry-name.ts";
import { createUpstream } from "./upstream.ts";

export interface MirrorOptions {
  readonly store: Store;
  readonly reach: Reach;
  readonly audit: Audit;
  readonly listen: ListenAddress;
  /** The one registry that may be read, where there is but one. */
  readonly onlyRegistry: () => string | undefined;
  /** Called once for each request, when it is answered. Must not throw. */
  readonly onRequest?: ((record: AccessRecord) => void) | undefined;
  /** How long answers may take once it closes, in milliseconds. */
  readonly closeGraceMs: number;
  /** Aborted when the agent is to end. */
  readonly signal: AbortSignal;
}

/** Each answer holds up to 2 MiB: together 256 MiB. */
const maxConnections = 128;
const connectionIdleMs = 120_000;
/** How long a registry's yes counts. */
const permitMs = 60_000;

/**
 * Serves what the store holds, whole, as an OCI registry that is only read, to those whose own
 * credential pulls it from where it came from. Rejects with STORE_IO when it cannot listen.
 */
export async function startMirror(options: MirrorOptions): Promise<HttpServer> {
  const { store, reach, audit, listen, onlyRegistry, onRequest, closeGraceMs, signal } = options;
  const userAgent = `ballast-mirror/${randomBytes(8).toString("hex")}`;
  const upstream = createUpstream(reach, userAgent);
  const answer = createPullApi({
    held: createHeldContent(store),
    permits: createPermits({ upstream, audit, lifeMs: permitMs, signal }),
    upstream,
    nameRepository: (asked) => nameRepository(asked, { reach, ownAddress: server.address }),
    onlyRegistry,
    userAgent,
    signal,
  });
  const limits = { maxConnections, connectionIdleMs, closeGraceMs };
  const server = await startHttpServer(answer, { listen, limits, onRequest });
  return server;
}
