import type { Digest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isApiError } from "../api/api-error.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { leasesPath } from "../api/leases.ts";
import { listAll } from "../api/list.ts";
import type { Lease } from "../api/objects.ts";
import { defaultNamespace } from "../names.ts";
import { type NodeModels, nodeModelsCrd } from "../node-models.ts";
import { lookAtNodes } from "./facts/cluster-nodes.ts";
import { lookAtAll } from "./facts/known.ts";
import { listReports } from "./facts/list-reports.ts";
import { describeLocations, type ModelLocations } from "./model-locations.ts";

export interface LocateOptions extends Abortable {
  /** As the user wrote it. */
  readonly reference: string;
  readonly digest: Digest;
  /** Of Ballast. */
  readonly namespace: string;
}

/**
 * Tells which nodes have a model, by what their reporters said last. Reads only. Rejects with NOT_FOUND
 * where the cluster has no NodeModels, with FORBIDDEN where the user may not read them; what else may
 * not be read is left out.
 */
export async function locateModel(
  api: ClusterApi,
  { reference, digest, namespace, signal }: LocateOptions,
): Promise<ModelLocations> {
  const [reports, nodes, leases] = await Promise.all([
    readReports(api, digest, { signal }),
    lookAtNodes(api, { signal }),
    lookAtAll(
      async () => (await listAll<Lease>(api, { path: leasesPath(namespace) }, { signal })).items,
    ),
  ]);
  return describeLocations({ reference, digest, reports, nodes, leases, now: Date.now() });
}

async function readReports(
  api: ClusterApi,
  digest: Digest,
  options: Abortable,
): Promise<NodeModels[]> {
  try {
    return await listReports(api, (model) => model.digest === digest, options);
  } catch (error) {
    if (isApiError(error, 404))
      throw new ModelError("NOT_FOUND", `the cluster at ${api.server} has no NodeModels`, {
        hint: `the CRD ${nodeModelsCrd} comes with the Helm chart: helm install ballast deploy/helm/ballast -n ${defaultNamespace}`,
        cause: error,
      });
    if (isApiError(error, 403))
      throw new ModelError("FORBIDDEN", "this user may not list NodeModels of the cluster", {
        hint: `an administrator grants it: kubectl create clusterrole ballast-reader --verb=get,list --resource=${nodeModelsCrd},nodes && kubectl create clusterrolebinding ballast-reader --clusterrole=ballast-reader --user=NAME`,
        cause: error,
      });
    throw error;
  }
}
