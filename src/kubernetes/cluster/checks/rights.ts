import { partName } from "../../names.ts";
import type { ClusterFacts } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, unseen } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "rights";

/** Whether each role may do what it needs to. */
export function checkRights({ rights, namespace }: ClusterFacts): Finding[] {
  if (rights.refused !== undefined)
    return [unseen(check, "what the roles' ServiceAccounts may do", rights)];
  if (rights.value.length === 0) return [];
  const lacking = Object.entries(
    Object.groupBy(
      rights.value.filter(({ allowed }) => !allowed),
      ({ role }) => role,
    ),
  );
  if (lacking.length === 0) return [ok(check, "each role may do what it needs to")];
  return lacking.map(([role, answers = []]) =>
    failed(
      check,
      `ServiceAccount ${partName(role)} may not ${answers.map(({ right }) => right).join(", ")}`,
      installCommand(namespace),
    ),
  );
}
