import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseSize } from "../../core/size.ts";
import { defaultNamespace } from "../../kubernetes/names.ts";
import { type AgentFlags, addRunFlag, runFolder } from "../agent-flags.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../cluster-flags.ts";
import { parseListen, parseSeconds } from "../flag-values.ts";
import { logTo, untilStopped } from "../service.ts";
import type { Terminal } from "../terminal.ts";

interface ReporterFlags extends AgentFlags, ClusterFlags {
  readonly node: string;
  readonly namespace?: string | undefined;
  readonly labels: "affinity" | "off";
  readonly labelMinBytes: string;
  readonly agentGrace: string;
  readonly listen: string;
}

const examples = `
Examples:
  ballast reporter --node worker-1
  ballast reporter --node worker-1 --kubeconfig ./kubeconfig --listen 127.0.0.1:8081
  ballast reporter --node worker-1 --labels off

It watches the agent of its node, and keeps three things in the cluster true: labels of the
Node (models.ballast.dev/...=ready) that pods can prefer, the NodeModels object of that name,
and a Lease that says that both can be believed. SIGTERM ends it and leaves the labels.`;

/** Adds `ballast reporter`. */
export function addReporter(program: Command, terminal: Terminal): void {
  const command = program
    .command("reporter")
    .summary("tell the cluster which models this node has, until stopped")
    .description(
      "Runs the reporter of a node, beside its agent. Its log goes to standard error, a line of JSON each.",
    )
    .requiredOption("--node <NAME>", "the name of the Node that it reports for")
    .option(
      "--namespace <NAME>",
      `where its Lease is; default: that of the pod or context, else ${defaultNamespace}`,
    )
    .addOption(
      new Option("--labels <MODE>", "label the Node for affinity, or not at all")
        .choices(["affinity", "off"])
        .default("affinity"),
    )
    .option("--label-min-bytes <SIZE>", "smaller models get no label", "1GiB")
    .option("--agent-grace <SECONDS>", "how long the agent may be silent before labels go", "60")
    .option("--listen <HOST:PORT>", "serve /healthz, /readyz and /metrics", "0.0.0.0:8081")
    .addHelpText("after", examples);
  addRunFlag(command);
  addClusterFlags(command);
  command.action(async (flags: ReporterFlags) => report(flags, terminal));
}

async function report(flags: ReporterFlags, terminal: Terminal): Promise<void> {
  const listen = parseListen(flags.listen);
  const labelMinBytes = parseSize(flags.labelMinBytes);
  const agentGraceMs = 1000 * parseSeconds(flags.agentGrace);
  using api = await openCluster(flags, "reporter");
  const { startReporter } = await import("../../kubernetes/reporter/reporter.ts");
  await using _ = await startReporter({
    api,
    node: flags.node,
    run: resolve(runFolder(flags, terminal.environment)),
    namespace: flags.namespace ?? api.namespace ?? defaultNamespace,
    labels: flags.labels,
    labelMinBytes,
    agentGraceMs,
    listen,
    write: logTo(terminal),
  });
  await untilStopped(terminal);
}
