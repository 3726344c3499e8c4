import type { Command } from "commander";
import { parseSize } from "../../core/size.ts";
import { defaultNamespace, webhookName } from "../../kubernetes/names.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../cluster-flags.ts";
import { parseListen } from "../flag-values.ts";
import { logTo, untilStopped } from "../service.ts";
import type { Terminal } from "../terminal.ts";

interface WebhookFlags extends ClusterFlags {
  readonly namespace: string;
  readonly service: string;
  readonly listen: string;
  readonly healthListen: string;
  readonly config?: string | undefined;
  readonly affinityMinBytes: string;
  readonly readPodSecrets?: boolean | undefined;
}

const examples = `
Examples:
  ballast webhook --namespace ballast-system
  ballast webhook --config /etc/ballast/agent.yaml --affinity-min-bytes 500MiB

It answers an API server at /pods over HTTPS, with a certificate that it makes and renews
itself, and never refuses a pod. SIGTERM ends it; pods are created without it meanwhile.`;

/** Adds `ballast webhook`. */
export function addWebhook(program: Command, terminal: Terminal): void {
  const command = program
    .command("webhook")
    .summary("pin models of new pods, and prefer nodes that have them")
    .description(
      "Runs the admission webhook of a cluster. Its log goes to standard error, a line of JSON each.",
    )
    .option("--namespace <NAME>", "where its Secret, ConfigMap and Service are", defaultNamespace)
    .option("--service <NAME>", "the Service that API servers call", webhookName)
    .option("--listen <HOST:PORT>", "reviews, over HTTPS", "0.0.0.0:8443")
    .option("--health-listen <HOST:PORT>", "health and metrics, over HTTP", "0.0.0.0:8081")
    .option("--config <FILE>", "what the operator decides, in YAML: docs/operations.md")
    .option("--affinity-min-bytes <SIZE>", "prefer nodes for models of this size and more", "1GiB")
    .option("--read-pod-secrets", "ask registries with the pods' own credentials, too")
    .addHelpText("after", examples);
  addClusterFlags(command);
  command.action(async (flags: WebhookFlags) => serve(flags, terminal));
}

async function serve(flags: WebhookFlags, terminal: Terminal): Promise<void> {
  const { environment, signal } = terminal;
  const { namespace, service, config } = flags;
  const { startWebhook } = await import("../../kubernetes/webhook/webhook.ts");
  using api = await openCluster(flags, "webhook");
  const options = {
    api,
    namespace,
    service,
    config,
    listen: parseListen(flags.listen),
    healthListen: parseListen(flags.healthListen),
    affinityMinBytes: parseSize(flags.affinityMinBytes),
    readPodSecrets: flags.readPodSecrets === true,
    environment,
    write: logTo(terminal),
  };
  try {
    await using _ = await startWebhook(options, signal);
    await untilStopped(terminal);
  } catch (error) {
    // It was told to end before it could begin.
    if (!signal.aborted) throw error;
  }
}
