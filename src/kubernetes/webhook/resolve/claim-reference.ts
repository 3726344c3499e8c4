import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/objects.ts";
import { driverName } from "../../names.ts";

/**
 * The reference of the model behind a claim; undefined where the claim has no volume yet, or not one of
 * ours. Rejects as the API server does.
 */
export async function claimReference(
  api: ClusterApi,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  options: Abortable,
): Promise<string | undefined> {
  const claims = `/api/v1/namespaces/${encodeURIComponent(namespace)}/persistentvolumeclaims`;
  const path = `${claims}/${encodeURIComponent(name)}`;
  const claim = await api.call<PersistentVolumeClaim>({ method: "GET", path }, options);
  const { volumeName = "" } = claim.spec;
  if (volumeName === "") return undefined;
  const volume = await api.call<PersistentVolume>(
    { method: "GET", path: `/api/v1/persistentvolumes/${encodeURIComponent(volumeName)}` },
    options,
  );
  const { csi } = volume.spec;
  return csi?.driver === driverName ? csi.volumeAttributes?.["reference"] : undefined;
}
