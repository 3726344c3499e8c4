import type { Abortable } from "../../core/progress.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { pickAll } from "../api/list.ts";
import type { PersistentVolume, Pod, PodVolume } from "../api/objects.ts";
import { driverName } from "../names.ts";

/** A pod that has a volume of ours. */
interface VolumeUser {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string | undefined;
  /** When it was made. */
  readonly since: string;
}

export interface VolumeUsers {
  readonly pods: readonly VolumeUser[];
  /** PersistentVolumes of ours, used or not. */
  readonly volumes: number;
}

interface ClaimingVolume extends PodVolume {
  readonly ephemeral?: unknown;
}

export interface FindUsersOptions extends Abortable {
  /** Which pods to look at; default: those that have not finished. */
  readonly fieldSelector?: string | undefined;
}

const unfinished = "status.phase!=Succeeded,status.phase!=Failed";

/** The pods that have a volume of ours, inline or by a claim. Rejects with what the API server refuses. */
export async function findVolumeUsers(
  api: ClusterApi,
  { fieldSelector = unfinished, signal }: FindUsersOptions = {},
): Promise<VolumeUsers> {
  const volumes = { path: "/api/v1/persistentvolumes" };
  const claims = await pickAll<PersistentVolume, string>(api, volumes, claimOf, { signal });
  const claimed = new Set(claims);
  const choose = (pod: Pod): VolumeUser | undefined => {
    const { name = "", namespace = "", creationTimestamp: since = "" } = pod.metadata;
    if (!(pod.spec.volumes ?? []).some((volume) => isOurs(volume, pod, claimed))) return undefined;
    return { namespace, pod: name, node: pod.spec.nodeName, since };
  };
  const pods = { path: "/api/v1/pods", fieldSelector };
  return { pods: await pickAll(api, pods, choose, { signal }), volumes: claims.length };
}

/** `namespace/name` of the claim of a PersistentVolume of ours; empty where nobody claims it. */
function claimOf({ spec: { csi, claimRef } }: PersistentVolume): string | undefined {
  if (csi?.driver !== driverName) return undefined;
  return claimRef === undefined ? "" : `${claimRef.namespace ?? ""}/${claimRef.name ?? ""}`;
}

function isOurs(volume: ClaimingVolume, { metadata }: Pod, claimed: ReadonlySet<string>): boolean {
  if (volume.csi?.driver === driverName) return true;
  // A claim made for this pod alone has a name of both (generic ephemeral volumes).
  const ephemeral = volume.ephemeral === undefined ? undefined : `${metadata.name}-${volume.name}`;
  const claim = volume.persistentVolumeClaim?.claimName ?? ephemeral;
  return claim !== undefined && claimed.has(`${metadata.namespace}/${claim}`);
}
