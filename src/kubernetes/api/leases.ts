import { pause } from "../../core/pause.ts";
import type { Abortable } from "../../core/progress.ts";
import { absentIfMissing, isApiError } from "./api-error.ts";
import type { ClusterApi } from "./cluster-api.ts";
import type { Lease, OwnerReference } from "./objects.ts";

export interface LeaseIdentity {
  readonly namespace: string;
  readonly name: string;
  /** Who holds it: unique to a process. */
  readonly holder: string;
  /** For how long others take the holder to be alive after it was heard of last. */
  readonly seconds: number;
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
}

/**
 * Makes the Lease, or says again that its holder lives (coordination.k8s.io/v1). For a Lease that
 * nobody else may hold. Idempotent.
 */
export async function renewLease(
  api: ClusterApi,
  lease: LeaseIdentity,
  options: Abortable = {},
): Promise<void> {
  const { namespace, name, holder, seconds, ownerReferences } = lease;
  const spec = {
    holderIdentity: holder,
    leaseDurationSeconds: seconds,
    renewTime: microTime(),
  };
  const path = leasesPath(namespace);
  const renew = () =>
    api.call({ method: "PATCH", path: `${path}/${name}`, body: { spec } }, options);
  try {
    await renew();
  } catch (error) {
    if (!isApiError(error, 404)) throw error;
    const metadata = { name, namespace, ownerReferences };
    const body = { ...leaseKind, metadata, spec: { ...spec, acquireTime: microTime() } };
    try {
      await api.call({ method: "POST", path, body }, options);
    } catch (refused) {
      // Made by an attempt whose answer was lost, say.
      if (!isApiError(refused, 409)) throw refused;
      await renew();
    }
  }
}

export interface LeadOptions extends Abortable {
  /**
   * The work of the one that leads. Its signal ends when it leads no more; it must end then, soon.
   * When it ends by itself before, so does the election.
   */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  /** Told what went wrong between; it is tried again. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/**
 * Leads whenever nobody else does, until aborted: of all that call this with one Lease, one at a time.
 * What another wrote is judged by this side's clock alone, by when it was seen to change, so that
 * clocks may differ. Resolves when aborted; the Lease is then given up for the next.
 */
export async function electLeader(
  api: ClusterApi,
  lease: LeaseIdentity,
  { lead, onFailure, signal }: LeadOptions,
): Promise<void> {
  const stop = signal ?? new AbortController().signal;
  const collection = leasesPath(lease.namespace);
  const path = `${collection}/${lease.name}`;
  const durationMs = lease.seconds * 1000;
  const pollMs = durationMs / 5;
  let seen: { version: string | undefined; at: number } | undefined;

  /** Tries to take or keep it; resolves to whether it is held. */
  async function acquire(options: Abortable): Promise<boolean> {
    const found = await api.call<Lease>({ method: "GET", path }, options).catch(absentIfMissing);
    const { holderIdentity = "", leaseDurationSeconds = 0 } = found?.spec ?? {};
    const version = found?.metadata.resourceVersion;
    if (seen === undefined || seen.version !== version) seen = { version, at: performance.now() };
    const theirMs = Math.max(durationMs, leaseDurationSeconds * 1000);
    const isFree = holderIdentity === "" || performance.now() - seen.at > theirMs;
    if (holderIdentity !== lease.holder && !isFree) return false;
    await write(found, lease.holder, options);
    return true;
  }

  async function write(
    found: Lease | undefined,
    holder: string | undefined,
    options: Abortable,
  ): Promise<void> {
    const changed = found?.spec?.holderIdentity !== holder;
    const transitions = (found?.spec?.leaseTransitions ?? 0) + (changed && found ? 1 : 0);
    const acquireTime = changed ? microTime() : found?.spec?.acquireTime;
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: lease.seconds,
      acquireTime,
      renewTime: microTime(),
      leaseTransitions: transitions,
    };
    const { name, namespace } = lease;
    // The version makes one of two writers lose.
    const { resourceVersion } = found?.metadata ?? {};
    const body = { ...leaseKind, metadata: { name, namespace, resourceVersion }, spec };
    if (found === undefined) await api.call({ method: "POST", path: collection, body }, options);
    else await api.call({ method: "PUT", path, body }, options);
  }

  /** Keeps the lease that was held at `since`; resolves when it is lost, or when aborted. */
  async function renew(since: number, { signal: until }: { signal: AbortSignal }): Promise<void> {
    let held = since;
    // Others count from the moment the server wrote, which is no earlier than that of the asking. A
    // third of the time is left for the work to end.
    const left = () => held + (2 * durationMs) / 3 - performance.now();
    await pause(pollMs, until);
    while (!until.aborted && left() > 0) {
      const asked = performance.now();
      const limit = AbortSignal.any([until, within(left())]);
      try {
        if (!(await acquire({ signal: limit }))) return;
        held = asked;
        await pause(pollMs, until);
      } catch (error) {
        if (until.aborted) return;
        // Written by an attempt whose answer was lost, say: the next look tells who holds it.
        if (!isApiError(error, 409)) onFailure?.(error);
        await pause(Math.min(pollMs, durationMs / 15), until);
      }
    }
  }

  /** Leads until the lease is lost, the work ends or all is aborted; resolves to whether the work ended. */
  async function hold(since: number): Promise<boolean> {
    const lost = new AbortController();
    const over = new AbortController();
    let isDone = false;
    const work = lead(AbortSignal.any([stop, lost.signal])).finally(() => {
      isDone = true;
      over.abort();
    });
    // It is awaited below, after it was told.
    work.catch(() => undefined);
    await renew(since, { signal: AbortSignal.any([stop, over.signal]) });
    const ended = isDone;
    lost.abort();
    await work;
    return ended;
  }

  while (!stop.aborted) {
    try {
      const asked = performance.now();
      const limit = AbortSignal.any([stop, within(durationMs / 3)]);
      if ((await acquire({ signal: limit })) && (await hold(asked))) break;
    } catch (error) {
      if (stop.aborted) break;
      if (!isApiError(error, 409)) onFailure?.(error);
    }
    await pause(pollMs, stop);
  }
  await giveUp();

  /** Best effort: who does not is waited for. */
  async function giveUp(): Promise<void> {
    const options = { signal: AbortSignal.timeout(giveUpMs) };
    try {
      const found = await api.call<Lease>({ method: "GET", path }, options);
      if (found.spec?.holderIdentity === lease.holder) await write(found, undefined, options);
    } catch {
      // It runs out by itself.
    }
  }
}

const giveUpMs = 3000;

function within(ms: number): AbortSignal {
  return AbortSignal.timeout(Math.max(1, Math.ceil(ms)));
}

const leaseKind = { apiVersion: "coordination.k8s.io/v1", kind: "Lease" };

/** The collection of a namespace's Leases. */
export function leasesPath(namespace: string): string {
  return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
}

/** Now, as the API's MicroTime wants it: six digits of a second. */
function microTime(): string {
  return new Date().toISOString().replace("Z", "000Z");
}
