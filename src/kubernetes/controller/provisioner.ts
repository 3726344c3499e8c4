import { isModelError, type ModelError } from "../../core/errors.ts";
import { describeFault } from "../../core/log.ts";
import { pause } from "../../core/pause.ts";
import { isApiError } from "../api/api-error.ts";
import { followObjects } from "../api/collection.ts";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "../api/objects.ts";
import { driverName } from "../names.ts";
import { type ClaimNews, createClaimEvents } from "./claim-events.ts";
import { provisionedBy, volumeNameOf, volumeOf } from "./claim-volume.ts";
import type { Duty } from "./duty.ts";
import { untilSynced } from "./until-synced.ts";
import { createWorkQueue } from "./work-queue.ts";

/** Set on a claim by kube-controller-manager: who is to make its volume. */
const provisionerAnnotation = "volume.kubernetes.io/storage-provisioner";
/** Set on a claim by a scheduler, which has chosen the node of its first pod. */
const selectedNodeAnnotation = "volume.kubernetes.io/selected-node";

const volumesPath = "/api/v1/persistentvolumes";
const resyncMs = 300_000;

/**
 * Makes PersistentVolumes for claims of StorageClasses with our provisioner and deletes those that were
 * released, until aborted. Every step may be done twice, and by two at once: a volume's name is of its
 * claim's uid.
 */
export async function provisionVolumes(duty: Duty): Promise<void> {
  const { api, log, metrics, signal, onOutage } = duty;
  const events = createClaimEvents(api);
  const queue = createWorkQueue({
    work: (key) => (key.startsWith("volume ") ? remove(key.slice(7)) : provision(key.slice(6))),
    onFailure: (key, error) => {
      metrics.countFailure("volumes");
      log("volume waits", { what: key, ...describeFault(error) });
    },
  });
  await using volumes = followObjects<PersistentVolume>(
    api,
    { path: volumesPath },
    {
      onChange: (key, volume) => {
        if (volume !== undefined && isOver(volume)) queue.add(`volume ${key}`);
      },
      onOutage: (error) => onOutage("persistentvolumes", error),
    },
  );
  await using classes = followObjects<StorageClass>(
    api,
    { path: "/apis/storage.k8s.io/v1/storageclasses" },
    {
      onChange: () => addClaims(),
      onOutage: (error) => onOutage("storageclasses", error),
    },
  );
  await using claims = followObjects<PersistentVolumeClaim>(
    api,
    { path: "/api/v1/persistentvolumeclaims" },
    {
      onChange: (key, claim) => {
        if (claim !== undefined && isOurs(claim)) queue.add(`claim ${key}`);
      },
      onOutage: (error) => onOutage("persistentvolumeclaims", error),
    },
  );

  /** All that wait, again: their Events are kept in sight, and what went unseen is made up for. */
  function addClaims(): void {
    for (const [key, claim] of claims.objects) if (isOurs(claim)) queue.add(`claim ${key}`);
  }

  async function provision(key: string): Promise<void> {
    const claim = claims.objects.get(key);
    if (claim === undefined || !isOurs(claim)) return;
    const found = volumes.objects.get(volumeNameOf(claim));
    if (found !== undefined) return checkOwner(found, claim);
    const className = claim.spec.storageClassName ?? "";
    const storageClass = classes.objects.get(className);
    if (storageClass === undefined)
      return refuse(claim, `there is no StorageClass ${JSON.stringify(className)}`);
    if (storageClass.provisioner !== driverName) return;
    const isBound = claim.metadata.annotations?.[selectedNodeAnnotation] !== undefined;
    if (storageClass.volumeBindingMode === "WaitForFirstConsumer" && !isBound) return;
    let volume: PersistentVolume;
    try {
      volume = volumeOf(claim, storageClass);
    } catch (error) {
      if (isModelError(error)) return refuse(claim, sentenceOf(error));
      throw error;
    }
    await create(volume, claim);
  }

  async function create(volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<void> {
    const { name = "" } = volume.metadata;
    try {
      await api.call({ method: "POST", path: volumesPath, body: volume }, { signal });
    } catch (error) {
      if (isApiError(error, 409)) {
        const path = `${volumesPath}/${name}`;
        const there = await api.call<PersistentVolume>({ method: "GET", path }, { signal });
        return checkOwner(there, claim);
      }
      if (isApiError(error) && !error.retryable) await refuse(claim, sentenceOf(error));
      throw error;
    }
    metrics.countVolume("made");
    const { namespace, name: claimName } = claim.metadata;
    log("volume made", { volume: name, claim: `${namespace}/${claimName}` });
    const message = `made volume ${name} of ${volume.spec.csi?.volumeAttributes?.["reference"]}`;
    await tell(claim, { type: "Normal", reason: "ProvisioningSucceeded", message });
  }

  /** A volume that is the claim's is bound by kube-controller-manager. */
  async function checkOwner(volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<void> {
    if (volume.spec.claimRef?.uid === claim.metadata.uid) return;
    const { name } = volume.metadata;
    await refuse(claim, `there is a PersistentVolume ${name} that is not this claim's: delete it`);
  }

  async function refuse(claim: PersistentVolumeClaim, message: string): Promise<void> {
    const { namespace, name } = claim.metadata;
    if (await tell(claim, { type: "Warning", reason: "ProvisioningFailed", message })) {
      metrics.countRefusal();
      log("claim refused", { claim: `${namespace}/${name}`, message });
    }
  }

  /** An Event that cannot be written holds nothing up. Resolves to whether it was news. */
  async function tell(claim: PersistentVolumeClaim, news: ClaimNews): Promise<boolean> {
    try {
      return await events.say(claim, news, { signal });
    } catch (error) {
      if (signal.aborted) return false;
      metrics.countFailure("events");
      log("event not written", describeFault(error));
      return true;
    }
  }

  async function remove(name: string): Promise<void> {
    const volume = volumes.objects.get(name);
    if (volume === undefined || !isOver(volume)) return;
    const { uid, resourceVersion } = volume.metadata;
    // Somebody may say Retain at the last moment: then it is another version.
    const body = { preconditions: { uid, resourceVersion } };
    try {
      const path = `${volumesPath}/${name}`;
      await api.call({ method: "DELETE", path, body }, { signal });
    } catch (error) {
      // Its change, or its end, will be seen.
      if (isApiError(error, 404, 409)) return;
      throw error;
    }
    metrics.countVolume("deleted");
    log("volume deleted", { volume: name });
  }

  if (!(await untilSynced([claims, classes, volumes], signal))) return;
  const resync = async () => {
    while (!signal.aborted) {
      await pause(resyncMs, signal);
      addClaims();
    }
  };
  await Promise.all([queue.run(signal), resync()]);
}

/** Whether a claim waits for a volume that we are to make. */
function isOurs({ metadata, spec, status }: PersistentVolumeClaim): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    metadata.annotations?.[provisionerAnnotation] === driverName &&
    (spec.volumeName ?? "") === "" &&
    (status?.phase ?? "Pending") === "Pending"
  );
}

/** Whether a volume of ours has lost its claim and is to go. */
function isOver({ metadata, spec, status }: PersistentVolume): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    metadata.annotations?.[provisionedBy] === driverName &&
    spec.csi?.driver === driverName &&
    spec.persistentVolumeReclaimPolicy === "Delete" &&
    status?.phase === "Released"
  );
}

function sentenceOf({ message, hint }: ModelError): string {
  return hint === undefined ? message : `${message}; ${hint}`;
}
