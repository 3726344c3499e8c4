import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import type { RemovedTraces } from "../../../kubernetes/cluster/teardown.ts";
import type { VolumeUsers } from "../../../kubernetes/cluster/volume-users.ts";
import { driverName } from "../../../kubernetes/names.ts";
import { formatCount } from "../../amounts.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../../cluster-flags.ts";
import { addJsonFlag, type OutputFlags } from "../../common-flags.ts";
import type { Output } from "../../output.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";
import { addNamespaceFlag, type NamespaceFlag } from "./namespace-flag.ts";

interface TeardownFlags extends OutputFlags, ClusterFlags, NamespaceFlag {
  readonly check?: boolean | undefined;
  readonly labels?: boolean | undefined;
  readonly force?: boolean | undefined;
  readonly wait: string;
}

const mostUsers = 20;

const examples = `
Examples:
  ballast cluster teardown --check
  ballast cluster teardown --labels

helm uninstall runs the first before and the second after it. Both may be run again.`;

/** Adds `ballast cluster teardown`. */
export function addTeardown(cluster: Command, terminal: Terminal, output: Output): void {
  const command = cluster
    .command("teardown")
    .summary("what an uninstall looks at before, and removes after")
    .description(
      "Tells whether pods still have volumes of Ballast, or removes what it left in the cluster: labels of nodes, Leases, NodeModels, the webhook's certificate.",
    )
    .option("--check", "fail while pods that have not finished have volumes of Ballast")
    .option("--force", "with --check: tell them, and do not fail")
    .option("--labels", "remove what Ballast wrote, once its reporters are gone")
    .option("--wait <SECONDS>", "with --labels: how long to wait until they are", "60")
    .addHelpText("after", examples);
  addClusterFlags(command);
  addNamespaceFlag(command);
  addJsonFlag(command);
  command.action(async (flags: TeardownFlags) => {
    if ((flags.check === true) === (flags.labels === true))
      throw new ModelError("INVALID_ARGUMENT", "say either --check or --labels", {
        hint: "before an uninstall: ballast cluster teardown --check; after it: --labels",
      });
    if (flags.check === true) await check(flags, terminal, output);
    else await removeLabels(flags, terminal, output);
  });
}

async function check(flags: TeardownFlags, { signal }: Terminal, output: Output): Promise<void> {
  using api = await openCluster(flags, "cluster");
  const { findVolumeUsers } = await import("../../../kubernetes/cluster/volume-users.ts");
  const users = await findVolumeUsers(api, { signal });
  if (flags.json === true) await output.printJson(users);
  else await output.print(...describeUsers(users));
  const { length } = users.pods;
  if (length > 0 && flags.force !== true)
    throw new ModelError(
      "MODEL_IN_USE",
      `${formatCount(length, "pod")} of the cluster at ${api.server} still ${length === 1 ? "has" : "have"} volumes of Ballast`,
      {
        hint: "end these pods first: without the plugin nobody unmounts their volumes, and they stay Terminating; to go on all the same: --force, in the chart uninstall.force",
      },
    );
}

function describeUsers({ pods, volumes }: VolumeUsers): string[] {
  const shown = pods
    .slice(0, mostUsers)
    .map(
      ({ namespace, pod, node }) =>
        `${namespace}/${pod} ${node === undefined ? "on no node yet" : `on ${node}`}`,
    );
  return [
    ...shown.map(printable),
    ...(pods.length > mostUsers ? [`and ${pods.length - mostUsers} more`] : []),
    ...(pods.length === 0 ? ["no pod has a volume of Ballast: nothing is mounted"] : []),
    ...(volumes === 0
      ? []
      : [
          `${formatCount(volumes, "PersistentVolume")} of ${driverName} will stay; pods that claim them will not start`,
        ]),
  ];
}

async function removeLabels(
  flags: TeardownFlags,
  { signal }: Terminal,
  output: Output,
): Promise<void> {
  const seconds = Number(flags.wait);
  if (flags.wait.trim() === "" || !(seconds >= 0 && seconds <= 3600))
    throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(flags.wait)} is no time to wait`, {
      hint: "say seconds, from 0 to 3600",
    });
  using api = await openCluster(flags, "cluster");
  const { removeTraces } = await import("../../../kubernetes/cluster/teardown.ts");
  const { namespace } = flags;
  const removed = await removeTraces(api, { namespace, waitMs: seconds * 1000, signal });
  if (flags.json === true) await output.printJson(removed);
  else await output.print(...describeRemoved(removed));
}

function describeRemoved({
  nodes,
  leases,
  nodeModels,
  objects,
  remaining,
}: RemovedTraces): string[] {
  return [
    `labels removed from ${formatCount(nodes, "node")}`,
    `removed: ${[formatCount(leases, "Lease"), `${nodeModels} NodeModels`, ...objects].join(", ")}`,
    ...(remaining.length === 0
      ? []
      : [
          `still there, and may write them again: ${printable(remaining.join(", "))}; run this again when they are gone`,
        ]),
  ];
}
