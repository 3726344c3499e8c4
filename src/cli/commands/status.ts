import type { Command } from "commander";
import type { ModelDocument, StatusDocument } from "../../agent/api/documents.ts";
import { isModelError } from "../../core/errors.ts";
import { type AgentFlags, addRunFlag, openAgent } from "../agent-flags.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import { addJsonFlag, type OutputFlags } from "../common-flags.ts";
import type { Output } from "../output.ts";
import { formatTable } from "../table.ts";
import { isInteractive, type Terminal } from "../terminal.ts";
import { printable } from "../text.ts";

interface StatusFlags extends AgentFlags, OutputFlags {
  readonly watch?: boolean | undefined;
}

const examples = `
Examples:
  ballast status
  ballast status --watch
  ballast status --json | jq '.models[] | select(.state == "ready") | .name'`;

/** Goes to the top left of a terminal and clears what is below. */
const clearScreen = "\u001b[H\u001b[J";

/** Adds `ballast status`. */
export function addStatus(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("status")
    .summary("what the agent of this node has and does")
    .description("Shows the models of this node: how far they are, who mounts them, and the store.")
    .option("--watch", "again whenever it changes, until stopped; with --json a line each")
    .addHelpText("after", examples);
  addRunFlag(command);
  addJsonFlag(command);
  command.action(async (flags: StatusFlags) => {
    const { signal, environment, stdout } = terminal;
    const agent = await openAgent(flags, environment);
    const show = async (status: StatusDocument) => {
      if (flags.json === true) await output.printJson(status);
      else await output.print(...describeStatus(status));
    };
    const redraws = flags.json !== true && isInteractive(stdout, environment);
    if (flags.watch !== true) await show(await agent.status({ signal }));
    else
      await untilStopped(signal, async () => {
        for await (const status of agent.watch({ signal })) {
          if (redraws) stdout.write(clearScreen);
          await show(status);
        }
      });
  });
}

/** To be stopped is how a watch ends, and no failure. */
async function untilStopped(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isModelError(error, "CANCELLED") || !signal.aborted) throw error;
  }
}

function describeStatus({ store, models, version, startedAt }: StatusDocument): string[] {
  const { bytes, freeBytes, totalBytes, watermarks } = store;
  const { highBytes, lowFreeBytes } = watermarks;
  const limits = [
    ...(highBytes === null ? [] : [`above ${formatBytes(highBytes)}`]),
    ...(lowFreeBytes === null ? [] : [`below ${formatBytes(lowFreeBytes)} free`]),
  ];
  const evicts = limits.length === 0 ? "" : `; evicts ${limits.join(" or ")}`;
  const free = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`;
  const since = startedAt.slice(0, 19).replace("T", " ");
  return [
    `agent ${version}, since ${since} UTC`,
    `store ${printable(store.root)}: ${formatBytes(bytes)}, ${free}${evicts}`,
    ...(models.length === 0 ? ["no models"] : ["", ...describeModels(models)]),
  ];
}

function describeModels(models: readonly ModelDocument[]): string[] {
  const rows = models.map((model) => [
    describeState(model),
    formatBytes(model.bytes),
    formatBytes(Math.max(0, model.bytes - model.exclusiveBytes)),
    model.mounts.length === 0 ? "-" : formatCount(model.mounts.length, "mount"),
    model.tags.join(",") || "-",
    printable(model.name),
  ]);
  const table = formatTable(["STATE", "SIZE>", "SHARED>", "USED BY", "TAGS", "MODEL"], rows);
  const details = models.flatMap((model) => [
    ...(model.error === null || model.progress !== null
      ? []
      : [`${model.digest.slice(0, 19)}: ${printable(model.error.message)}`]),
    ...model.mounts.map(
      ({ target, namespace, pod }) =>
        `${model.digest.slice(0, 19)}: mounted at ${printable(target)}${pod === null ? "" : ` by ${namespace}/${pod}`}`,
    ),
  ]);
  return [...table, ...(details.length === 0 ? [] : ["", ...details])];
}

function describeState({ state, pinned, progress }: ModelDocument): string {
  if (progress === null) return pinned ? `${state}, pinned` : state;
  const { totalBytes, hereBytes, bytesPerSecond, secondsLeft } = progress;
  if (totalBytes === 0) return progress.state;
  const percent = `${Math.floor((100 * hereBytes) / totalBytes)} %`;
  const left = secondsLeft === null ? "" : `, ${formatSeconds(secondsLeft)} left`;
  return `${progress.state} ${percent}, ${formatBytes(bytesPerSecond)}/s${left}`;
}
