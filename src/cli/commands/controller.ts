import type { Command } from "commander";
import { defaultNamespace } from "../../kubernetes/names.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../cluster-flags.ts";
import { parseListen, parseSeconds } from "../flag-values.ts";
import { logTo, untilStopped } from "../service.ts";
import type { Terminal } from "../terminal.ts";

interface ControllerFlags extends ClusterFlags {
  readonly namespace?: string | undefined;
  readonly listen: string;
  readonly staleSeconds: string;
}

const examples = `
Examples:
  ballast controller
  ballast controller --kubeconfig ./admin.conf --namespace ballast-system --listen 127.0.0.1:8081

It takes labels from nodes whose reporter is silent, so that a dead node does not look as
if it had models, and makes volumes for claims of StorageClasses with the provisioner
csi.ballast.dev. Run two: one leads, the other takes over. SIGTERM ends it.`;

/** Adds `ballast controller`. */
export function addController(program: Command, terminal: Terminal): void {
  const command = program
    .command("controller")
    .summary("look after labels of dead nodes and volumes of claims until stopped")
    .description(
      "Runs a replica of the cluster's controller. Its log goes to standard error, a line of JSON each.",
    )
    .option(
      "--namespace <NAME>",
      `default: that of the cluster's context, else ${defaultNamespace}`,
    )
    .option("--listen <HOST:PORT>", "serve /healthz, /readyz and /metrics", "0.0.0.0:8081")
    .option(
      "--stale-seconds <N>",
      "how long a reporter may be silent, beside the duration that its Lease states",
      "60",
    )
    .addHelpText("after", examples);
  addClusterFlags(command);
  command.action(async (flags: ControllerFlags) => serve(flags, terminal));
}

async function serve(flags: ControllerFlags, terminal: Terminal): Promise<void> {
  const listen = parseListen(flags.listen);
  const staleSeconds = parseSeconds(flags.staleSeconds);
  using api = await openCluster(flags, "controller");
  const { startController } = await import("../../kubernetes/controller/controller.ts");
  await using _ = await startController({
    api,
    namespace: flags.namespace ?? api.namespace ?? defaultNamespace,
    listen,
    staleSeconds,
    write: logTo(terminal),
  });
  await untilStopped(terminal);
}
