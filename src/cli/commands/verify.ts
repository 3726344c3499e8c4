import type { Command } from "commander";
import { ModelError } from "../../core/errors.ts";
import type { VerifyResult } from "../../model/verify-report.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";
import { addFetchFlags, readTransfer, type TransferFlags } from "../transfer-flags.ts";

interface VerifyFlags extends OutputFlags, ConnectionFlags, TransferFlags {}

const examples = `
Examples:
  ballast verify ./llama
  ballast verify registry.example.com/team/llama:v1

Each problem is a line on standard output. When there is none, nothing is printed there
and the exit status is 0.`;

/** Adds `ballast verify`. */
export function addVerify(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("verify")
    .summary("check every byte of a model, here or in a registry")
    .description(
      "Reads a model whole and compares every byte with its index: a folder that `ballast pull -o` filled, or what a registry holds.",
    )
    .argument("<REF|DIR>", "a reference, or a folder that pull wrote")
    .addHelpText("after", examples);
  addConnectionFlags(command);
  addFetchFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (target: string, flags: VerifyFlags) => {
    const connection = await readConnection(flags, terminal);
    const transfer = readTransfer(flags);
    const { verify } = await import("../../model/verify.ts");
    using report = openReport(terminal, flags);
    const result = await verify({ target, ...connection, transfer, ...report.options });
    report.end();
    const { problems, name, files, bytes } = result;
    report.note(
      `checked ${formatCount(files, "file")}, ${formatBytes(bytes)}, in ${formatSeconds(report.seconds())}`,
    );
    if (flags.json === true) await output.printJson(result);
    else await output.print(...problems.map(describeProblem));
    if (problems.length > 0) throw verifyFailed(target, problems.length);
    report.note(`  all as in ${name}`);
  });
}

/** One line about one problem. */
export function describeProblem({ path, problem }: VerifyResult["problems"][number]): string {
  return printable(`${path}: ${problem}`);
}

function verifyFailed(target: string, problems: number): ModelError {
  return new ModelError("VERIFY_FAILED", `${target} has ${formatCount(problems, "problem")}`, {
    hint: "do not use what is listed: pull the model again, or push it again from its source",
  });
}
