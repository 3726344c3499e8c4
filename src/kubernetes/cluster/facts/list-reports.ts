import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { pickAll } from "../../api/list.ts";
import { type NodeModel, type NodeModels, nodeModelsPath } from "../../node-models.ts";

/** What all nodes report, of their models only those of interest: nodes may have hundreds. */
export function listReports(
  api: ClusterApi,
  isOfInterest: (model: NodeModel) => boolean,
  options: Abortable = {},
): Promise<NodeModels[]> {
  const keep = (report: NodeModels): NodeModels => {
    const { status } = report;
    if (status === undefined) return report;
    // A CRD of another version may have dropped them.
    const { models }: { readonly models?: readonly NodeModel[] | undefined } = status;
    return { ...report, status: { ...status, models: (models ?? []).filter(isOfInterest) } };
  };
  return pickAll<NodeModels, NodeModels>(api, { path: nodeModelsPath }, keep, options);
}
