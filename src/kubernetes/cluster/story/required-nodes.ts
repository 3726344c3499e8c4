import type { NodeSelectorRequirement, Pod } from "../../api/objects.ts";
import { type ClusterNode, nameOf } from "../facts/cluster-nodes.ts";

interface NodeSelector {
  readonly nodeSelectorTerms?:
    | readonly {
        readonly matchExpressions?: readonly NodeSelectorRequirement[] | undefined;
        readonly matchFields?: readonly NodeSelectorRequirement[] | undefined;
      }[]
    | undefined;
}

/** Whether the required node affinity of a pod, if it has one, allows a node. */
export function isAllowed({ spec }: Pod, node: ClusterNode): boolean {
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined || required === null) return true;
  // As the API server has checked it.
  const { nodeSelectorTerms = [] } = required as NodeSelector;
  const labels = node.metadata.labels ?? {};
  return nodeSelectorTerms.some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((each) => holds(each, labels[each.key])) &&
      matchFields.every((each) => holds(each, nameOf(node))),
  );
}

function holds({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined) {
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "Gt":
      return Number(value) > Number(values[0]);
    case "Lt":
      return Number(value) < Number(values[0]);
    default:
      // Nothing is claimed of what is not known.
      return true;
  }
}
