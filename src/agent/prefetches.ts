import { randomBytes } from "node:crypto";
import { digestHex, digestOf } from "../core/digest.ts";
import { isModelError } from "../core/errors.ts";
import { pause } from "../core/pause.ts";
import type { Abortable } from "../core/progress.ts";
import { repositoryName } from "../core/reference.ts";
import { selectionKey } from "../core/selection.ts";
import type { Reach } from "../model/reach.ts";
import { nameOf } from "../model/stored-models.ts";
import type { LeaseRecord } from "../store/lease-record.ts";
import { setPinned } from "../store/pin.ts";
import type { Store } from "../store/store.ts";
import { originOf } from "../store/store-paths.ts";
import type { Gate } from "./access/gate.ts";
import type { PrefetchRequest, ReadyModel } from "./api/documents.ts";
import type { Deliveries } from "./deliveries/deliveries.ts";
import type { Awaited } from "./deliveries/delivery.ts";

/** Models that are brought before anybody mounts them. */
export interface Prefetches {
  /** Has a model brought while the caller waits; `signal` takes the want back. Rejects as the gate does. */
  attend(request: PrefetchRequest, options: Abortable): Promise<Awaited>;
  /** Has a model brought whoever waits, also by the next process. Idempotent. */
  begin(request: PrefetchRequest, options: Abortable): Promise<LeaseRecord>;
  /** Ends one that was begun. Idempotent. */
  cancel(id: string): Promise<void>;
  /** Goes on with those of an earlier process. */
  resume(): void;
}

export interface PrefetchMeans {
  readonly store: Store;
  readonly gate: Gate;
  readonly deliveries: Deliveries;
  readonly reach: Reach;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
}

/** A prefetch that failed is tried again after this, doubled each time, */
const firstPauseMs = 5_000;
/** up to this. */
const longestPauseMs = 300_000;

/** Opens the prefetches of a store. Credentials are the agent's own. */
export function createPrefetches(means: PrefetchMeans): Prefetches {
  const { store, gate, deliveries, reach, signal: stopped } = means;

  async function admit(request: PrefetchRequest, signal: AbortSignal | undefined) {
    const reference = reach.parse(request.reference);
    const caller = { reference, subject: undefined, credential: undefined };
    const digest = await gate.admit({ ...caller, signal });
    return { reference, digest, connection: reach.connectionFor(caller) };
  }

  async function pinIfAsked(ready: ReadyModel, pin: boolean | undefined): Promise<ReadyModel> {
    const [name = ""] = ready.name.split("@");
    if (pin === true)
      await setPinned(store, { origin: originOf(name), manifest: ready.digest }, true);
    return ready;
  }

  function want(lease: LeaseRecord): Promise<ReadyModel> {
    const { id, manifest: digest, include, exclude } = lease;
    const reference = { ...reach.parse(lease.reference), digest };
    const connection = reach.connectionFor({
      reference,
      subject: undefined,
      credential: undefined,
    });
    const model = { reference, digest, name: nameOf(lease), include, exclude };
    return deliveries.want(model, { id, priority: "prefetch", connection }).done;
  }

  /** Until it is here, nobody wants it, or nothing is to be gained by trying again. */
  async function see(lease: LeaseRecord): Promise<void> {
    const isWanted = () => store.keptLeases().some(({ id }) => id === lease.id);
    for (let pauseMs = firstPauseMs; isWanted(); pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await pinIfAsked(await want(lease), lease.pin);
        return await store.endLease(lease.id);
      } catch (error) {
        if (stopped.aborted) return;
        if (!isModelError(error) || !error.retryable) return store.endLease(lease.id);
        await pause(pauseMs, stopped);
      }
    }
  }

  function begin(lease: LeaseRecord): void {
    // What it fails with is noted with the model.
    see(lease).catch(() => undefined);
  }

  return {
    attend: async (request, { signal }) => {
      const { reference, digest, connection } = await admit(request, signal);
      // Who went away in the meantime would not be heard any more.
      signal?.throwIfAborted();
      const { include, exclude, pin } = request;
      const model = {
        reference,
        digest,
        name: `${repositoryName(reference)}@${digest}`,
        include,
        exclude,
      };
      const id = randomBytes(32).toString("hex");
      const { delivery, done } = deliveries.want(model, { id, priority: "prefetch", connection });
      signal?.addEventListener("abort", () => deliveries.drop(id), { once: true });
      return { delivery, done: done.then((ready) => pinIfAsked(ready, pin)) };
    },

    begin: async (request, { signal }) => {
      const { reference, digest } = await admit(request, signal);
      const origin = originOf(repositoryName(reference));
      const id = leaseId(request, `${origin.name}@${digest}`);
      const known = store.keptLeases().find((lease) => lease.id === id);
      if (known !== undefined) return known;
      const since = new Date().toISOString();
      const lease: LeaseRecord = {
        ...request,
        id,
        kind: "prefetch",
        origin,
        manifest: digest,
        since,
      };
      await store.keepLease(lease, { signal });
      begin(lease);
      return lease;
    },

    cancel: async (id) => {
      const isPrefetch = store
        .keptLeases()
        .some((lease) => lease.id === id && lease.kind === "prefetch");
      if (!isPrefetch) return;
      await store.endLease(id);
      deliveries.drop(id);
    },

    resume: () => {
      for (const lease of store.keptLeases()) if (lease.kind === "prefetch") begin(lease);
    },
  };
}

function leaseId(request: PrefetchRequest, name: string): string {
  const { pin = false } = request;
  return digestHex(digestOf(JSON.stringify(["prefetch", name, selectionKey(request), pin])));
}
