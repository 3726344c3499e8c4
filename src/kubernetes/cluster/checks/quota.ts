import { type ClusterFacts, workloadOf } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, unseen } from "../finding.ts";

const check = "priority";

/** GKE admits system-node-critical pods only where a ResourceQuota allows them. */
export function checkQuota(facts: ClusterFacts): Finding[] {
  const { quotas, events, namespace } = facts;
  if (workloadOf(facts, "agent") === undefined) return [];
  const refused = (events.value ?? []).find(
    ({ reason, message = "" }) =>
      reason === "FailedCreate" && /insufficient quota to match these scopes/.test(message),
  );
  if (quotas.refused !== undefined)
    return [unseen(check, `ResourceQuotas of ${namespace}`, quotas)];
  const allows = quotas.value.some(({ spec }) =>
    spec?.scopeSelector?.matchExpressions?.some(
      ({ scopeName, values = [] }) =>
        scopeName === "PriorityClass" && values.includes("system-node-critical"),
    ),
  );
  if (refused !== undefined && !allows)
    return [
      failed(
        check,
        `the cluster admits system-node-critical pods only with a ResourceQuota, and ${namespace} has none`,
        `helm upgrade ballast deploy/helm/ballast -n ${namespace} --reuse-values --set nodes.criticalPodsQuota=10000`,
      ),
    ];
  return [ok(check, "pods of nodes get their priority")];
}
