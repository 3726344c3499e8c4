import type { ClusterFacts } from "../facts/cluster-facts.ts";
import { type Finding, ok, warning } from "../finding.ts";

const check = "server version";
/** Node claims in tokens of ServiceAccounts, and ValidatingAdmissionPolicies, are on by default from here. */
const oldestWithPolicies = 30;
/** The node's name is in every token of a pod from here, not by a feature gate. */
const oldestWithNodeClaim = 32;
const oldestWithMutation = 36;

/** Which of the means of Ballast this API server has. */
export function checkServerVersion({ serverVersion }: ClusterFacts): Finding[] {
  const [, major = "0", minor = "0"] = /^v(\d+)\.(\d+)/.exec(serverVersion) ?? [];
  const at = Number(major) > 1 ? Number.MAX_SAFE_INTEGER : Number(minor);
  if (at < oldestWithPolicies)
    return [
      warning(
        check,
        `the API server is ${serverVersion}: it has no ValidatingAdmissionPolicy (1.30), so nothing confines a reporter to its own node`,
        "upgrade the control plane, or install without the reporter: --set reporter.enabled=false",
      ),
    ];
  if (at < oldestWithNodeClaim)
    return [
      warning(
        check,
        `the API server is ${serverVersion}: tokens name their node for certain from 1.32 on, and reporters whose token does not are denied`,
        "turn the feature gate ServiceAccountTokenPodNodeInfo on, or upgrade the control plane",
      ),
    ];
  const mutation =
    at < oldestWithMutation
      ? "; MutatingAdmissionPolicy comes with 1.36, until then the webhook writes the hints"
      : "; it has all that Ballast uses";
  return [ok(check, `the API server is ${serverVersion}${mutation}`)];
}
