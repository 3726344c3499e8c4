import type { ClusterNode, Taint } from "../facts/cluster-nodes.ts";
import { isReady } from "../facts/cluster-nodes.ts";
import type { ExplainedPod } from "./pod-facts.ts";
import { isAllowed } from "./required-nodes.ts";

/** What can be seen that keeps a pod from a node; undefined where nothing is seen, such as of its room. */
export function whyNot(pod: ExplainedPod, node: ClusterNode): string | undefined {
  if (!isReady(node)) return "is not ready";
  if (node.spec?.unschedulable === true) return "is cordoned";
  const taint = (node.spec?.taints ?? []).find((each) => !isTolerated(each, pod));
  if (taint !== undefined)
    return `has the taint ${taint.key}:${taint.effect}, which the pod does not tolerate`;
  const lacking = Object.entries(pod.spec.nodeSelector ?? {}).find(
    ([key, value]) => node.metadata.labels?.[key] !== value,
  );
  if (lacking !== undefined)
    return `is not ${lacking.join("=")}, which the pod's nodeSelector asks for`;
  if (!isAllowed(pod, node)) return "is not what the pod's required node affinity asks for";
  return undefined;
}

function isTolerated(taint: Taint, { spec }: ExplainedPod): boolean {
  if (taint.effect === "PreferNoSchedule") return true;
  return (spec.tolerations ?? []).some(({ key, operator = "Equal", value = "", effect }) => {
    if (effect !== undefined && effect !== "" && effect !== taint.effect) return false;
    if (key === undefined || key === "") return operator === "Exists";
    return key === taint.key && (operator === "Exists" || value === (taint.value ?? ""));
  });
}
