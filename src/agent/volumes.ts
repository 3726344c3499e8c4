import type { Digest } from "../core/digest.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import { createKeyedMutex } from "../core/keyed-mutex.ts";
import type { Abortable } from "../core/progress.ts";
import { parseReference, type RegistryReference, repositoryName } from "../core/reference.ts";
import { selectionKey } from "../core/selection.ts";
import { hasGrantedTree } from "../model/granted-trees.ts";
import type { Reach } from "../model/reach.ts";
import { nameOf } from "../model/stored-models.ts";
import type { LeaseRecord } from "../store/lease-record.ts";
import type { Store } from "../store/store.ts";
import { originOf } from "../store/store-paths.ts";
import type { Audit } from "./access/audit.ts";
import type { Gate } from "./access/gate.ts";
import type { AcquireRequest, MountedVolume } from "./api/documents.ts";
import type { Deliveries } from "./deliveries/deliveries.ts";
import type { Awaited } from "./deliveries/delivery.ts";
import type { Secrets } from "./secrets.ts";
import type { Warming } from "./warming.ts";

/** Models that volumes show. */
export interface Volumes {
  /**
   * Lets a volume in, leases its model and has it brought. Idempotent by id: what was resolved first
   * stays. Rejects as the gate does, with LEASE_EXISTS for an id that stands for something else, and
   * with FORBIDDEN for a registry that the operator does not name.
   */
  acquire(request: AcquireRequest, options: Abortable): Promise<Awaited>;
  /**
   * Leases what a volume shows already, whatever a registry or the operator would say of it now: it
   * shows no more for that, and nothing is told of the model. Idempotent. Rejects with NOT_FOUND where
   * it is not all here, and with LEASE_EXISTS. Audited.
   */
  retain(volume: MountedVolume, options: Abortable): Promise<void>;
  /** Ends a lease, and the pull that nobody else wants. Idempotent. */
  release(id: string): Promise<void>;
  /** Goes on with the pulls of an earlier process. */
  resume(): Promise<void>;
}

export interface VolumeMeans {
  readonly store: Store;
  readonly gate: Gate;
  readonly deliveries: Deliveries;
  readonly secrets: Secrets;
  readonly reach: Reach;
  readonly warming: Warming;
  readonly audit: Audit;
}

/** Opens the volumes of a store. */
export function createVolumes(means: VolumeMeans): Volumes {
  const { store, gate, deliveries, secrets, reach, warming, audit } = means;
  const locks = createKeyedMutex();

  function wantFor(lease: LeaseRecord, reference: RegistryReference): Awaited {
    const { id, manifest: digest, include, exclude, subject } = lease;
    const name = nameOf(lease);
    const credential = secrets.get(id);
    const connection = reach.connectionFor({ reference, subject, credential });
    const model = { reference, digest, name, include, exclude };
    const { delivery, done } = deliveries.want(model, { id, priority: "mount", connection });
    if (lease.warm === true)
      done.then(
        ({ tree }) => warming.begin(id, tree),
        () => undefined,
      );
    return { delivery, done };
  }

  /** Undefined when there is none; throws LEASE_EXISTS for one of something else. */
  function findLease(volume: AcquireRequest | MountedVolume): LeaseRecord | undefined {
    const known = store.keptLeases().find(({ id }) => id === volume.id);
    if (known === undefined || isSame(known, volume)) return known;
    throw exists(known);
  }

  /** Keeps it from eviction first: what is here after that stays. */
  async function keepIfHere(lease: LeaseRecord, signal: AbortSignal | undefined): Promise<boolean> {
    await store.keepLease(lease, { signal });
    if (await hasGrantedTree(store.paths, lease)) return true;
    await store.endLease(lease.id);
    return false;
  }

  return {
    acquire: (request, { signal }) =>
      locks.hold(
        request.id,
        async () => {
          const { id, subject, credential } = request;
          const reference = reach.parse(request.reference);
          const known = findLease(request);
          const asked = { reference, digest: known?.manifest, subject, credential, signal };
          const digest = await gate.admit(asked);
          const lease = known ?? makeLease(request, repositoryName(reference), digest);
          if (known === undefined) await store.keepLease(lease, { signal });
          await secrets.set(id, credential);
          // A tag that moved since must not be noted as this digest's.
          return wantFor(lease, known === undefined ? reference : { ...reference, digest });
        },
        { signal },
      ),

    retain: (volume, { signal }) =>
      locks.hold(
        volume.id,
        async () => {
          if (findLease(volume) !== undefined) return;
          const { digest, ...rest } = volume;
          const repository = repositoryName(parseReference(volume.reference));
          const isHere = await keepIfHere(makeLease(rest, repository, digest), signal);
          const asked = { subject: volume.subject, repository, version: digest };
          if (isHere) return audit({ ...asked, digest, verdict: "allowed", why: "mounted" });
          audit({ ...asked, digest: undefined, verdict: "unknown", why: "NOT_FOUND" });
          throw new ModelError("NOT_FOUND", `${repository}@${digest} is not here`, {
            hint: `what ${volume.target} shows was removed: delete its pod`,
          });
        },
        { signal },
      ),

    release: (id) =>
      locks.hold(id, async () => {
        deliveries.drop(id);
        warming.end(id);
        await store.endLease(id);
        await secrets.set(id, undefined);
      }),

    resume: async () => {
      const leases = store.keptLeases().filter(({ kind }) => kind === "volume");
      await secrets.keepOnly(new Set(leases.map(({ id }) => id)));
      for (const lease of leases) {
        const reference = parseKept(reach, lease);
        // Waited for by nobody: who wants the volume asks again.
        if (reference !== undefined) wantFor(lease, { ...reference, digest: lease.manifest });
      }
    },
  };
}

/** Undefined where the operator does not name its registry any more. */
function parseKept(reach: Reach, { reference }: LeaseRecord): RegistryReference | undefined {
  try {
    return reach.parse(reference);
  } catch (error) {
    if (isModelError(error, "FORBIDDEN")) return undefined;
    throw error;
  }
}

function makeLease(request: AcquireRequest, repository: string, manifest: Digest): LeaseRecord {
  const { credential: _, ...asked } = request;
  const origin = originOf(repository);
  return { ...asked, kind: "volume", origin, manifest, since: new Date().toISOString() };
}

function isSame(lease: LeaseRecord, volume: AcquireRequest | MountedVolume): boolean {
  const digest = "digest" in volume ? volume.digest : lease.manifest;
  return (
    lease.reference === volume.reference &&
    lease.manifest === digest &&
    selectionKey(lease) === selectionKey(volume)
  );
}

function exists({ target, reference }: LeaseRecord): ModelError {
  return new ModelError(
    "LEASE_EXISTS",
    `${target} already shows ${reference}, or other files of it`,
    {
      hint: "unmount it first",
    },
  );
}
