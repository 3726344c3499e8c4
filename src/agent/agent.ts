import { chmod, mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { ModelError } from "../core/errors.ts";
import type { ListenAddress } from "../core/listen-address.ts";
import { createLog, describeFault, type Log } from "../core/log.ts";
import type { ConnectionOptions } from "../model/connection.ts";
import { openReach } from "../model/reach.ts";
import { openStore, type Store } from "../store/store.ts";
import { openTransferPool } from "../transfer/transfer-pool.ts";
import { createAudit } from "./access/audit.ts";
import { createGate } from "./access/gate.ts";
import { openVerdicts } from "./access/verdicts.ts";
import { callerKinds, socketPath } from "./api/routes.ts";
import type { AgentConfig } from "./config.ts";
import { type Bring, createBring } from "./deliveries/bring.ts";
import { createDeliveries } from "./deliveries/deliveries.ts";
import { createDepartures } from "./departures.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { startMirror } from "./mirror/mirror.ts";
import { createPrefetches } from "./prefetches.ts";
import { createRest } from "./rest.ts";
import { scrubForever } from "./scrubbing.ts";
import { openSecrets } from "./secrets.ts";
import { createAgentRoutes } from "./server/agent-routes.ts";
import { createListener } from "./server/routing.ts";
import { listenUnix } from "./server/unix-listener.ts";
import { createSpace } from "./space.ts";
import { createStatus } from "./status.ts";
import { startTidying } from "./tidying.ts";
import { createVolumes } from "./volumes.ts";
import { createWarming } from "./warming.ts";

export interface AgentOptions {
  /** Root of the store; the agent is its only owner. */
  readonly root: string;
  /** Folder of the sockets and of what must not outlive the node's life: on a tmpfs. */
  readonly run: string;
  readonly config: AgentConfig;
  /** The agent's own credentials, and proxies. */
  readonly environment: ConnectionOptions["environment"];
  readonly version: string;
  /** Serves models to other nodes and to registry clients here; docs/agent-api.md, "Mirror". */
  readonly peerListen?: ListenAddress | undefined;
  /** Takes lines of the log. */
  readonly write: (line: string) => void;
}

/** The process that owns a node's models. Disposing lets those who wait go, and ends it in seconds. */
export interface Agent extends AsyncDisposable {
  /** Takes a new configuration. Rejects with INVALID_ARGUMENT; the old one stays then. */
  configure(config: AgentConfig): Promise<void>;
  /** `host:port` of the mirror, where there is one. */
  readonly mirrorAddress: string | undefined;
}

/** How long answers may take once the agent is to end. */
const drainMs = 5_000;

/** What the parts of one agent share. */
interface Base {
  readonly options: AgentOptions;
  /** Read each time, since it may be another. */
  readonly config: () => AgentConfig;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Aborted when the agent is to end. */
  readonly signal: AbortSignal;
  /** What ends with it, the last first. */
  readonly resources: AsyncDisposableStack;
}

/**
 * Starts an agent: opens the store, takes up what an earlier process left, and serves the sockets.
 * Rejects as `openStore` does.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  let { config } = options;
  const log = createLog(options.write);
  const stopping = new AbortController();
  const { signal } = stopping;
  await using resources = new AsyncDisposableStack();
  const metrics = createMetrics();
  const base = { options, config: () => config, log, metrics, signal, resources };
  const parts = await openParts(base);
  let ready = false;
  await serveSockets(base, parts, () => ready);
  const mirror = await serveMirror(base, parts);
  await parts.volumes.resume();
  parts.prefetches.resume();
  ready = true;
  if (config.registries.allow === undefined)
    log("any registry may be read", { hint: "registries.allow in the configuration names some" });
  const { root, run, version } = options;
  log("agent serves", { root, run, version, mirror: mirror?.address });
  const scrubbing = scrubForever({
    store: parts.store,
    bytesPerSecond: () => config.store.scrubBytesPerSecond,
    log,
    onRotten: (files) => metrics.countRotten(files),
    signal,
  });
  resources.defer(() => scrubbing);
  const stopped = new ModelError("AGENT_UNAVAILABLE", "the agent is stopping");
  resources.defer(() => stopping.abort(stopped));
  const owned = resources.move();
  return {
    configure: async (next) => {
      await parts.reach.configure(next);
      parts.transfers.configure(next.transfer);
      config = next;
      log("configuration read");
    },
    mirrorAddress: mirror?.address,
    [Symbol.asyncDispose]: async () => {
      log("agent stops");
      await owned.disposeAsync();
    },
  };
}

/** Opens the store and all that works on it; nothing is served yet. */
async function openParts({ options, config, log, metrics, signal, resources }: Base) {
  const { root, run, environment, version, write } = options;
  const store = resources.use(await openStore(root));
  await restrict(store);
  await mkdir(run, { recursive: true, mode: 0o750 });
  const reach = await openReach(config(), environment);
  const audit = metrics.countDecisions(createAudit(write));
  const gate = createGate({
    verdicts: await openVerdicts(join(root, "verdicts"), oldestVerdictMs(config())),
    audit,
    connectionFor: (caller) => reach.connectionFor(caller),
    limits: () => config().access,
  });
  const secrets = await openSecrets(join(run, "secrets.json"));
  const onEvicted = (models: number) => metrics.countEvictions(models);
  const departures = createDepartures();
  const space = createSpace({ store, config: () => config().store, departures, onEvicted });
  const tidying = resources.use(startTidying(space, log));
  const transfers = resources.use(openTransferPool(config().transfer));
  const bring = createBring({ store, transfers, makeRoom: (bytes) => space.makeRoom(bytes) });
  const deliver: Bring = async (model, how) => {
    log("delivery begins", { model: model.name });
    const brought = metrics.timeDelivery(() => bring(model, how));
    const ready = await brought.finally(() => rest.disturb());
    log("delivery ends", { model: model.name, bytes: ready.bytes, moved: ready.moved });
    if (ready.moved > 0) tidying.soon();
    return ready;
  };
  const deliveries = resources.use(createDeliveries(deliver, log));
  const rest = resources.use(createRest({ isIdle: () => deliveries.active().length === 0 }));
  const warming = resources.use(createWarming(log));
  const volumes = createVolumes({ store, gate, deliveries, secrets, reach, warming, audit });
  const prefetches = createPrefetches({ store, gate, deliveries, reach, signal });
  const status = createStatus({ version, store, deliveries, space, departures });
  return { store, reach, audit, transfers, volumes, prefetches, status, departures };
}

type Parts = Awaited<ReturnType<typeof openParts>>;

async function serveSockets(
  { options, log, metrics, signal, resources }: Base,
  { store, volumes, prefetches, status, departures }: Parts,
  isReady: () => boolean,
): Promise<void> {
  const describe = () => metrics.describe(status);
  const means = { store, volumes, prefetches, status, departures, metrics: describe, isReady };
  const routes = createAgentRoutes(means);
  const onDefect = (path: string, error: unknown) =>
    log("call failed", { path, error: describeFault(error) });
  for (const kind of callerKinds) {
    const server = createServer(createListener(routes, { kind, stopped: signal, onDefect }));
    resources.use(await listenUnix(server, socketPath(options.run, kind), { drainMs }));
  }
}

async function serveMirror(
  { options, config, log, signal, resources }: Base,
  { store, reach, audit }: Parts,
) {
  const { peerListen: listen } = options;
  if (listen === undefined) return undefined;
  const mirror = await startMirror({
    store,
    reach,
    audit,
    listen,
    onlyRegistry: () => onlyOne(config().registries.allow),
    onRequest: ({ path, status, error }) => {
      if (error !== undefined) log("mirror failed", { path, status, error: describeFault(error) });
    },
    closeGraceMs: drainMs,
    signal,
  });
  return resources.use(mirror);
}

function onlyOne(names: readonly string[] = []): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}

function oldestVerdictMs({ access }: AgentConfig): number {
  return (access.verdictSeconds + access.graceSeconds) * 1000;
}

/** Others may go through to the trees and read them, and nothing else. */
async function restrict({ paths }: Store): Promise<void> {
  await chmod(paths.root, 0o711);
  await chmod(paths.trees, 0o755);
  await mkdir(paths.leases, { recursive: true });
  const { files, ingest, grants, leases, trash } = paths;
  for (const folder of [files, ingest, grants, leases, trash, join(paths.root, "blobs")])
    await chmod(folder, 0o700);
}
