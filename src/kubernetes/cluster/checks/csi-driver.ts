import { driverName } from "../../names.ts";
import type { ClusterFacts } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, unseen, warning } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "CSIDriver";

/** Whether kubelets are told the right things about the driver; access rules stand on podInfoOnMount. */
export function checkCsiDriver({ driver, namespace }: ClusterFacts): Finding[] {
  if (driver.refused !== undefined) return [unseen(check, `CSIDriver ${driverName}`, driver)];
  const fix = installCommand(namespace);
  if (driver.value === undefined)
    return [
      failed(check, `there is no CSIDriver ${driverName}: no inline volume of it starts`, fix),
    ];
  const {
    attachRequired,
    podInfoOnMount,
    volumeLifecycleModes = [],
    fsGroupPolicy,
  } = driver.value.spec;
  // Both are immutable.
  const anew = `kubectl delete csidriver ${driverName} && ${fix}`;
  const faults = [
    ...(podInfoOnMount === true
      ? []
      : [
          failed(
            check,
            "podInfoOnMount is not true: the plugin cannot tell whose pod asks, and refuses all",
            fix,
          ),
        ]),
    ...(attachRequired === false
      ? []
      : [
          failed(
            check,
            "attachRequired is not false: claims wait for an attacher that is not there",
            anew,
          ),
        ]),
    ...["Ephemeral", "Persistent"]
      .filter((mode) => !volumeLifecycleModes.includes(mode))
      .map((mode) =>
        failed(
          check,
          `volumeLifecycleModes lacks ${mode}: ${mode === "Ephemeral" ? "inline volumes" : "claims"} are refused`,
          anew,
        ),
      ),
    ...(fsGroupPolicy === "None"
      ? []
      : [
          warning(
            check,
            `fsGroupPolicy is ${fsGroupPolicy}: kubelets walk each model to change its owner, in vain`,
            anew,
          ),
        ]),
  ];
  return faults.length > 0 ? faults : [ok(check, `${driverName} is described as it must be`)];
}
