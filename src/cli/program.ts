import { Command, CommanderError } from "commander";
import { ModelError } from "../core/errors.ts";
import { readVersion } from "../core/version.ts";
import { addAgent } from "./commands/agent.ts";
import { addCluster } from "./commands/cluster.ts";
import { addController } from "./commands/controller.ts";
import { addCopy } from "./commands/copy.ts";
import { addDiff } from "./commands/diff.ts";
import { addHelp, describeTopics } from "./commands/help.ts";
import { addInspect } from "./commands/inspect.ts";
import { addLogin, addLogout } from "./commands/login.ts";
import { addMount } from "./commands/mount.ts";
import { addPrefetch } from "./commands/prefetch.ts";
import { addPull } from "./commands/pull.ts";
import { addPush } from "./commands/push.ts";
import { addRegistry } from "./commands/registry.ts";
import { addReporter } from "./commands/reporter.ts";
import { addStatus } from "./commands/status.ts";
import { addStore } from "./commands/store.ts";
import { addTag } from "./commands/tag.ts";
import { addTags } from "./commands/tags.ts";
import { addVerify } from "./commands/verify.ts";
import { addWebhook } from "./commands/webhook.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { describeFailure, type Failure, printFailure } from "./failure.ts";
import { findMistake } from "./mistakes.ts";
import { createOutput, type Output, tolerateClosedReader } from "./output.ts";
import type { Terminal } from "./terminal.ts";

const epilogue = `
Examples:
  ballast push ./llama registry.example.com/team/llama:v1
  ballast pull registry.example.com/team/llama:v1 -o ./llama
  ballast verify ./llama

Results go to standard output, everything else to standard error. Each command explains
itself: ballast COMMAND --help.`;

/**
 * Runs one command line and returns its exit code; docs/cli.md lists them. Never rejects: what goes
 * wrong is told on standard error.
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  tolerateClosedReader(terminal.stdout);
  tolerateClosedReader(terminal.stderr);
  const output = createOutput(terminal.stdout);
  try {
    await createProgram(terminal, output).parseAsync(args, { from: "user" });
    return exitCodes.ok;
  } catch (error) {
    const helped = helpExitCode(error);
    if (helped !== undefined) return helped;
    const failure = addNextStep(describeFailure(error, terminal), args);
    printFailure(failure, error, terminal);
    if (args.includes("--json") && !output.used) await printFailureJson(failure, output);
    return failure.exitCode;
  }
}

/** Builds the command line with its help; nothing runs yet. */
export function createProgram(terminal: Terminal, output: Output): Command {
  const { stdout, stderr } = terminal;
  const program = new Command("ballast")
    .description(
      "Delivers model weights: packs a model into layers by content, pushes only what a registry does not have, pulls only what this machine does not have, and verifies every byte.",
    )
    .version(`ballast ${readVersion()}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "explain the command")
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(100, stdout.columns ?? 90),
      getErrHelpWidth: () => Math.min(100, stderr.columns ?? 90),
    })
    .addHelpText("after", `\n${describeTopics()}\n${epilogue}`);
  program.commandsGroup("Everyday:");
  for (const add of [addPush, addPull, addCopy, addInspect, addDiff, addVerify])
    add(program, terminal, output);
  program.commandsGroup("Registry:");
  for (const add of [addTag, addTags, addLogin, addLogout, addRegistry])
    add(program, terminal, output);
  program.commandsGroup("Node:");
  addAgent(program, terminal);
  addPrefetch(program, terminal, output);
  addStatus(program, terminal, output);
  addMount(program, terminal, output);
  addStore(program, terminal, output);
  program.commandsGroup("Kubernetes:");
  addController(program, terminal);
  addWebhook(program, terminal);
  addReporter(program, terminal);
  addCluster(program, terminal, output);
  program.commandsGroup("Help:");
  addHelp(program, output);
  forEachCommand(program, explainUsageErrors);
  return program;
}

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
}

/** Makes the parser's complaints errors like all others, with the command that was probably meant. */
function explainUsageErrors(command: Command): void {
  command.exitOverride((error) => {
    if (helpExitCode(error) !== undefined) throw error;
    const mistake = findMistake(command.name(), command.args);
    const [message = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
    const similar = rest.map((line) =>
      line.replace(/^\(Did you mean (.*)\?\)$/, "did you mean: $1?"),
    );
    const meant = mistake === undefined ? similar : [`did you mean: ${mistake.meant}?`];
    const path = [command, ...parents(command)].reverse().map((each) => each.name());
    throw new ModelError("INVALID_ARGUMENT", mistake?.problem ?? message, {
      hint: [...meant, `see: ${path.join(" ")} --help`].join("\n"),
    });
  });
}

function parents(command: Command): Command[] {
  return command.parent === null ? [] : [command.parent, ...parents(command.parent)];
}

/** Help and version end the parsing by an error too; this tells these from others. */
function helpExitCode(error: unknown): ExitCode | undefined {
  const codes = ["commander.help", "commander.helpDisplayed", "commander.version"];
  if (!(error instanceof CommanderError) || !codes.includes(error.code)) return undefined;
  return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}

/** These go on where they were stopped; who stopped them should know. */
function addNextStep(failure: Failure, args: readonly string[]): Failure {
  const continues = ["push", "pull", "copy"].includes(args[0] ?? "");
  if (failure.code !== "CANCELLED" || !continues) return failure;
  return { ...failure, hint: "run the same command again: it continues where it stopped" };
}

async function printFailureJson({ code, message, hint }: Failure, output: Output): Promise<void> {
  await output.printJson({ error: { code, message, hint } }).catch(() => undefined);
}
