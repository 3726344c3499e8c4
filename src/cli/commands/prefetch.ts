import type { Command } from "commander";
import type { PrefetchRequest, ReadyModel } from "../../agent/api/documents.ts";
import type { AgentClient } from "../../agent/client/client.ts";
import { type AgentFlags, addRunFlag, openAgent } from "../agent-flags.ts";
import { formatBytes, formatSeconds } from "../amounts.ts";
import {
  addJsonFlag,
  addQuietFlag,
  addSelectionFlags,
  type OutputFlags,
  type SelectionFlags,
} from "../common-flags.ts";
import { followDelivery } from "../delivery-bar.ts";
import type { Output } from "../output.ts";
import { openReport, type Report } from "../report.ts";
import type { Terminal } from "../terminal.ts";

interface PrefetchFlags extends AgentFlags, OutputFlags, SelectionFlags {
  readonly pin?: boolean | undefined;
  readonly wait?: boolean | undefined;
}

const examples = `
Examples:
  ballast prefetch registry.example.com/team/llama:v1
  ballast prefetch --pin --wait registry.example.com/team/llama:v1

Without --wait the agent goes on by itself, also after it was restarted. With --wait the
command ends when the models are here; Ctrl-C gives up what nobody else waits for. Of any
number of callers one downloads. Credentials are the agent's own.`;

/** Adds `ballast prefetch`. */
export function addPrefetch(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("prefetch")
    .summary("have the agent bring models before anybody needs them")
    .description("Has the agent of this node bring models.")
    .argument("<REF...>", "models: HOST/REPOSITORY[:TAG][@DIGEST]")
    .option("--pin", "keep them from being evicted")
    .option("--wait", "wait until they are here, and print their trees")
    .addHelpText("after", examples);
  addSelectionFlags(command);
  addRunFlag(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (references: readonly string[], flags: PrefetchFlags) => {
    const agent = await openAgent(flags, terminal.environment);
    using report = openReport(terminal, flags);
    const requests = references.map((reference) => requestFor(reference, flags));
    if (flags.wait === true) await prefetchAll(agent, requests, { flags, output, report });
    else await beginAll(agent, requests, { flags, output, report });
  });
}

interface Means {
  readonly flags: PrefetchFlags;
  readonly output: Output;
  readonly report: Report;
}

function requestFor(reference: string, { include, exclude, pin }: PrefetchFlags): PrefetchRequest {
  return {
    reference,
    include: include === undefined ? undefined : [...include],
    exclude: exclude === undefined ? undefined : [...exclude],
    pin,
  };
}

async function beginAll(
  agent: AgentClient,
  requests: readonly PrefetchRequest[],
  { flags, output, report }: Means,
): Promise<void> {
  const { signal } = report.options;
  const leases = await Promise.all(requests.map((each) => agent.beginPrefetch(each, { signal })));
  report.end();
  for (const { name } of leases) report.note(`asked for ${name}; see: ballast status`);
  if (flags.json === true) await output.printJson({ prefetches: leases });
}

async function prefetchAll(
  agent: AgentClient,
  requests: readonly PrefetchRequest[],
  { flags, output, report }: Means,
): Promise<void> {
  const { signal } = report.options;
  const all = await Promise.all(
    requests.map(async (request) => {
      // Bars of several models at once would be one another's.
      const onProgress =
        requests.length > 1 ? undefined : followDelivery(report.options.onProgress);
      const ready = await agent.prefetch(request, { signal, onProgress });
      report.note(describeReady(request.reference, ready, report.seconds()));
      return ready;
    }),
  );
  report.end();
  if (flags.json === true) await output.printJson({ models: all });
  else await output.print(...all.map(({ tree }) => tree));
}

function describeReady(reference: string, { bytes, moved }: ReadyModel, seconds: number): string {
  const parts = `${formatBytes(moved)} fetched, ${formatBytes(Math.max(0, bytes - moved))} here already`;
  return `${reference} is here after ${formatSeconds(seconds)}: ${parts}`;
}
