import type { Digest } from "../../../core/digest.ts";
import type { Abortable } from "../../../core/progress.ts";
import { parseReference } from "../../../core/reference.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodVolume,
  StorageClass,
} from "../../api/objects.ts";
import { driverName } from "../../names.ts";
import { look } from "../facts/known.ts";
import type { PodModel } from "./pod-facts.ts";

/** The volumes of a pod that are ours: inline, by a claim, or by one that waits for its volume. */
export async function readPodModels(
  api: ClusterApi,
  pod: Pod,
  options: Abortable = {},
): Promise<PodModel[]> {
  const models: PodModel[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const model = await readVolume(api, pod, volume, options);
    if (model !== undefined) models.push(model);
  }
  return models;
}

async function readVolume(
  api: ClusterApi,
  pod: Pod,
  { name: volume, csi, persistentVolumeClaim }: PodVolume,
  options: Abortable,
): Promise<PodModel | undefined> {
  const none = {
    volume,
    persistentVolume: undefined,
    claim: persistentVolumeClaim?.claimName,
    reference: undefined,
    digest: undefined,
    problem: undefined,
  };
  if (csi !== undefined)
    return csi.driver === driverName
      ? { ...none, ...named(csi.volumeAttributes?.["reference"]) }
      : undefined;
  if (persistentVolumeClaim === undefined) return undefined;
  const { namespace } = pod.metadata;
  const { claimName } = persistentVolumeClaim;
  const get = <T>(path: string) => look(() => api.call<T>({ method: "GET", path }, options));
  const claim = await get<PersistentVolumeClaim>(
    `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${claimName}`,
  );
  if (claim.refused !== undefined) return { ...none, problem: "this user may not read it" };
  if (claim.value === undefined) return { ...none, problem: "it does not exist" };
  const { volumeName, storageClassName } = claim.value.spec;
  if (volumeName === undefined || volumeName === "") {
    if (storageClassName === undefined || storageClassName === "") return undefined;
    const found = await get<StorageClass>(
      `/apis/storage.k8s.io/v1/storageclasses/${storageClassName}`,
    );
    return found.value?.provisioner === driverName
      ? {
          ...none,
          problem: `no volume is bound to it: the controller of Ballast makes one for StorageClass ${storageClassName}`,
        }
      : undefined;
  }
  const found = await get<PersistentVolume>(`/api/v1/persistentvolumes/${volumeName}`);
  if (found.refused !== undefined)
    return { ...none, persistentVolume: volumeName, problem: "this user may not read its volume" };
  const source = found.value?.spec.csi;
  if (source?.driver !== driverName) return undefined;
  const reference = source.volumeAttributes?.["reference"];
  return { ...none, persistentVolume: volumeName, ...named(reference) };
}

function named(reference: string | undefined): Pick<PodModel, "reference" | "digest" | "problem"> {
  if (reference === undefined)
    return { reference, digest: undefined, problem: "the volume names no model" };
  return { reference, digest: digestIn(reference), problem: undefined };
}

function digestIn(reference: string): Digest | undefined {
  try {
    return parseReference(reference).digest;
  } catch {
    // Its Event says what is wrong with it.
    return undefined;
  }
}
