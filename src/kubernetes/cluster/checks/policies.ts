import { partName } from "../../names.ts";
import { type ClusterFacts, workloadOf } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, someOf, unseen, warning } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "policies";
/** Roles that may change what is not theirs alone; RBAC cannot say what of it. */
const writers = ["reporter", "controller", "webhook"];

/** Whether the policies are there and at work: those that confine roles, and the one that hints. */
export function checkPolicies(facts: ClusterFacts): Finding[] {
  const { policies, namespace } = facts;
  if (policies.refused !== undefined) return [unseen(check, "admission policies", policies)];
  const { validating, mutating, bound } = policies.value;
  const fix = installCommand(namespace);
  const idle = [...validating, ...mutating].filter((name) => !bound.includes(name));
  if (idle.length > 0) return [failed(check, `no binding puts ${someOf(idle)} to work`, fix)];
  const unconfined = writers.filter(
    (role) => isInstalled(facts, role) && !validating.includes(partName(role)),
  );
  if (unconfined.length > 0)
    return [
      warning(
        check,
        `no ValidatingAdmissionPolicy confines what the ${unconfined.join(" and the ")} may change`,
        fix,
      ),
    ];
  if (mutating.length === 0 && workloadOf(facts, "webhook") === undefined)
    return [
      warning(
        check,
        "neither the webhook nor a MutatingAdmissionPolicy is there: pods prefer no node",
        fix,
      ),
    ];
  return [ok(check, `at work: ${[...validating, ...mutating].join(", ")}`)];
}

/** Where nothing is installed, all of it is missed. */
function isInstalled(facts: ClusterFacts, role: string): boolean {
  return workloadOf(facts, role) !== undefined || facts.workloads.value?.length === 0;
}
