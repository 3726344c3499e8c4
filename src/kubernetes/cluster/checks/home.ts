import { type ClusterFacts, workloadOf } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, unseen, warning } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "namespace";
const label = "pod-security.kubernetes.io/enforce";

/** Whether the namespace of Ballast is there and lets the parts of a node run. */
export function checkHome(facts: ClusterFacts): Finding[] {
  const { home, namespace, events } = facts;
  if (home.refused !== undefined) return [unseen(check, `namespace ${namespace}`, home)];
  if (home.value === undefined)
    return [failed(check, `there is no namespace ${namespace}`, installCommand(namespace))];
  const fix = `kubectl label --overwrite namespace ${namespace} ${label}=privileged`;
  const level = home.value.metadata.labels?.[label];
  const forbidden = (events.value ?? []).find(
    ({ reason, message = "" }) =>
      reason === "FailedCreate" && message.includes("violates PodSecurity"),
  );
  if (level === "privileged") return [ok(check, `${namespace} allows privileged pods`)];
  if (level !== undefined)
    return [
      failed(
        check,
        `${namespace} enforces pod security ${level}, and the plugin must be privileged: the API server refuses mounts that others see of any other`,
        fix,
      ),
    ];
  if (forbidden !== undefined)
    return [failed(check, `${namespace} allows no privileged pods: ${forbidden.message}`, fix)];
  if ((workloadOf(facts, "csi")?.status?.numberReady ?? 0) > 0)
    return [ok(check, `${namespace} has no pod security label, and the plugin runs`)];
  return [
    warning(
      check,
      `${namespace} has no label ${label}: where the cluster's default is stricter than privileged, the plugin cannot run`,
      fix,
    ),
  ];
}
