import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import type { PodExplanation } from "../../../kubernetes/cluster/explain.ts";
import { addClusterFlags, type ClusterFlags, openCluster } from "../../cluster-flags.ts";
import { addJsonFlag, type OutputFlags } from "../../common-flags.ts";
import type { Output } from "../../output.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";

interface ExplainFlags extends OutputFlags, ClusterFlags {}

const examples = `
Examples:
  ballast cluster explain pod team-a/llama-0
  ballast cluster explain pod llama-0 --context staging

What is not known is said so: a scheduler does not tell its scores.`;

/** Adds `ballast cluster explain`. */
export function addExplain(cluster: Command, terminal: Terminal, output: Output): void {
  const explain = cluster
    .command("explain")
    .summary("why a pod runs where it runs, and what its volume waits for")
    .description("Explains what became of a pod.")
    .helpCommand(false);
  const command = explain
    .command("pod")
    .summary("why a pod runs where it runs, and what its volume waits for")
    .description(
      "Tells why a pod is where it is, what its volumes wait for, and what the hint did or why it did nothing.",
    )
    .argument("<NS/NAME>", "the pod; without NS in the namespace of the context")
    .addHelpText("after", examples);
  addClusterFlags(command);
  addJsonFlag(command);
  command.action(async (name: string, flags: ExplainFlags) => {
    const { signal } = terminal;
    using api = await openCluster(flags, "cluster");
    const target = parsePod(name, api.namespace);
    const { explainPod } = await import("../../../kubernetes/cluster/explain.ts");
    const explanation = await explainPod(api, { ...target, signal });
    if (flags.json === true) await output.printJson(explanation);
    else await output.print(...describeExplanation(explanation));
  });
}

function parsePod(text: string, home: string = "default"): { namespace: string; pod: string } {
  const parts = text.split("/");
  const [namespace = "", pod = ""] = parts.length === 1 ? [home, text] : parts;
  const isName = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;
  if (parts.length <= 2 && isName.test(namespace) && isName.test(pod)) return { namespace, pod };
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} names no pod`, {
    hint: "say NAMESPACE/NAME, such as team-a/llama-0",
  });
}

function describeExplanation(explanation: PodExplanation): string[] {
  const { namespace, pod, phase, sentences, next } = explanation;
  return [
    `${namespace}/${pod}: ${phase}`,
    ...sentences.map(({ text }) => printable(`  ${text}`)),
    ...(next === undefined ? [] : [printable(`next: ${next}`)]),
  ];
}
