import * as v from "valibot";
import type { Abortable } from "../../core/progress.ts";
import {
  type AcquireRequest,
  type CollectionRequest,
  type FreedDocument,
  freedSchema,
  type LeaseDocument,
  leaseSchema,
  type ModelProgress,
  type MountedVolume,
  type PinRequest,
  type PrefetchRequest,
  type ReadyModel,
  type RemovalRequest,
  type StatusDocument,
  statusSchema,
  type WithdrawalRequest,
} from "../api/documents.ts";
import { routes } from "../api/routes.ts";
import { ask, askText, listen, type Peer } from "./conversation.ts";
import { awaitReady } from "./ready-stream.ts";

export interface WaitOptions extends Abortable {
  readonly onProgress?: ((progress: ModelProgress) => void) | undefined;
}

interface WatchOptions extends Abortable {
  /**
   * The caller tells schedulers what is here: while it watches, a model that is to be removed is
   * announced as leaving, and goes only once the caller has withdrawn it, or after five seconds.
   */
  readonly tells?: boolean | undefined;
}

/**
 * An agent, over one of its sockets. Every call rejects with AGENT_UNAVAILABLE while nobody answers
 * there, with FORBIDDEN where the socket is not for this call, and with what the agent said else.
 */
export interface AgentClient {
  /**
   * Leases a model and resolves when it is here. Idempotent by `id`: the digest that was resolved first
   * stays. Who stops waiting keeps the lease and with it the pull, until `release`.
   */
  acquire(request: AcquireRequest, options?: WaitOptions): Promise<ReadyModel>;
  /**
   * Leases again what is mounted and has lost its lease. No registry is asked, no byte moves. Idempotent;
   * rejects with NOT_FOUND where the model is not all here, with LEASE_EXISTS like `acquire`.
   */
  retain(volume: MountedVolume, options?: Abortable): Promise<void>;
  /** Ends a lease, and the pull that nobody else wants. Idempotent. */
  release(id: string, options?: Abortable): Promise<void>;
  leases(options?: Abortable): Promise<LeaseDocument[]>;
  /** Brings a model; of any number of callers for one, one downloads. */
  prefetch(request: PrefetchRequest, options?: WaitOptions): Promise<ReadyModel>;
  /** Asks for a model and does not wait. Idempotent. */
  beginPrefetch(request: PrefetchRequest, options?: Abortable): Promise<LeaseDocument>;
  /** Keeps a model from being evicted, or lets it go again. Idempotent. */
  pin(request: PinRequest, options?: Abortable): Promise<void>;
  /** Removes a model and what nothing else needs. Rejects with MODEL_IN_USE, NOT_FOUND. */
  remove(request: RemovalRequest, options?: Abortable): Promise<FreedDocument>;
  /** Deletes what no model needs, and models beyond a size. */
  collect(request: CollectionRequest, options?: Abortable): Promise<FreedDocument>;
  status(options?: Abortable): Promise<StatusDocument>;
  /** The status, again whenever it changed, until aborted. */
  watch(options?: WatchOptions): AsyncIterable<StatusDocument>;
  /** Says that nobody hears of these models from this caller any more, who watches with `tells`. */
  withdraw(request: WithdrawalRequest, options?: Abortable): Promise<void>;
  /** Resolves when the agent serves. */
  ready(options?: Abortable): Promise<void>;
  /** What it counts, as OpenMetrics text. */
  metrics(options?: Abortable): Promise<string>;
}

/** Nothing is sent before the first call; there is nothing to close. */
export function createAgentClient(socketPath: string): AgentClient {
  const peer: Peer = { socketPath };
  return {
    acquire: (request, options = {}) =>
      awaitReady(listen(peer, { method: "POST", path: routes.volumes, body: request }, options), {
        peer,
        ...options,
      }),
    retain: async (volume, options = {}) => {
      await ask(peer, { method: "PUT", path: routes.volumes, body: volume }, options);
    },
    release: async (id, options = {}) => {
      await ask(peer, { method: "DELETE", path: `${routes.volumes}/${id}` }, options);
    },
    leases: async (options = {}) => {
      const answer = await ask(peer, { method: "GET", path: routes.volumes }, options);
      return v.parse(v.object({ leases: v.array(leaseSchema) }), answer).leases;
    },
    prefetch: (request, options = {}) =>
      awaitReady(
        listen(peer, { method: "POST", path: routes.prefetches, body: request }, options),
        { peer, ...options },
      ),
    beginPrefetch: async (request, options = {}) => {
      const path = `${routes.prefetches}?wait=false`;
      const answer = await ask(peer, { method: "POST", path, body: request }, options);
      return v.parse(leaseSchema, answer);
    },
    pin: async (request, options = {}) => {
      await ask(peer, { method: "PUT", path: routes.pins, body: request }, options);
    },
    remove: async (request, options = {}) => {
      const question = { method: "POST", path: routes.removals, body: request } as const;
      return v.parse(freedSchema, await ask(peer, question, options));
    },
    collect: async (request, options = {}) => {
      const question = { method: "POST", path: routes.collections, body: request } as const;
      return v.parse(freedSchema, await ask(peer, question, options));
    },
    status: async (options = {}) =>
      v.parse(statusSchema, await ask(peer, { method: "GET", path: routes.status }, options)),
    watch: (options = {}) => watchStatus(peer, options),
    withdraw: async (request, options = {}) => {
      await ask(peer, { method: "PUT", path: routes.withdrawals, body: request }, options);
    },
    ready: async (options = {}) => {
      await ask(peer, { method: "GET", path: routes.readiness }, options);
    },
    metrics: (options = {}) => askText(peer, { method: "GET", path: routes.metrics }, options),
  };
}

async function* watchStatus(peer: Peer, options: WatchOptions): AsyncIterable<StatusDocument> {
  const path = `${routes.status}?watch=true${options.tells === true ? "&tells=true" : ""}`;
  for await (const { name, content } of listen(peer, { method: "GET", path }, options))
    if (name === "status") yield v.parse(statusSchema, content);
}
