import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import { readVersion } from "../../../core/version.ts";
import type { Diagnosis } from "../../../kubernetes/cluster/doctor.ts";
import type { Finding } from "../../../kubernetes/cluster/finding.ts";
import { formatCount } from "../../amounts.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../../cluster-flags.ts";
import { addJsonFlag, type OutputFlags } from "../../common-flags.ts";
import type { Output } from "../../output.ts";
import { formatTable } from "../../table.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";
import { addNamespaceFlag, type NamespaceFlag } from "./namespace-flag.ts";

interface DoctorFlags extends OutputFlags, ClusterFlags, NamespaceFlag {}

const examples = `
Examples:
  ballast cluster doctor
  ballast cluster doctor --json | jq -r '.findings[] | select(.status == "failed") | .fix'

Any kubeconfig will do; what its user may not look at is said to be unknown. The exit status
is 0 when nothing failed.`;

/** Adds `ballast cluster doctor`. */
export function addDoctor(cluster: Command, terminal: Terminal, output: Output): void {
  const command = cluster
    .command("doctor")
    .summary("what a cluster lacks, and the fix for each")
    .description(
      "Looks at versions, rights, objects, pods, nodes and certificates of an installation. Writes nothing.",
    )
    .addHelpText("after", examples);
  addClusterFlags(command);
  addNamespaceFlag(command);
  addJsonFlag(command);
  command.action(async (flags: DoctorFlags) => {
    const { signal } = terminal;
    const { namespace } = flags;
    using api = await openCluster(flags, "cluster");
    const { diagnoseCluster } = await import("../../../kubernetes/cluster/doctor.ts");
    const programVersion = readVersion();
    const diagnosis = await diagnoseCluster(api, { namespace, programVersion, signal });
    if (flags.json === true) await output.printJson(diagnosis);
    else await output.print(...describeDiagnosis(diagnosis));
    const { failed } = diagnosis.counts;
    if (failed > 0)
      throw new ModelError(
        "VERIFY_FAILED",
        `the cluster at ${api.server} fails ${formatCount(failed, "check")}`,
        {
          hint: "each line that failed has its fix below; then ask again",
        },
      );
  });
}

function describeDiagnosis({ findings, counts }: Diagnosis): string[] {
  const rows = findings.flatMap(({ status, check, summary, fix }: Finding) => [
    [status === "failed" ? "FAILED" : status, check, printable(summary)],
    ...(fix === undefined ? [] : [["", "", printable(`fix: ${fix}`)]]),
  ]);
  const told = [
    formatCount(counts.failed, "failure"),
    formatCount(counts.warning, "warning"),
    `${counts.unknown} unknown`,
    `${counts.ok} ok`,
  ];
  return [...formatTable(["STATUS", "CHECK", "WHAT"], rows), "", told.join(", ")];
}
