import type { Command } from "commander";
import { parseReference } from "../../core/reference.ts";
import type { PullResult } from "../../model/pull.ts";
import { refuseAgentsStore } from "../agent-flags.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import {
  addJsonFlag,
  addQuietFlag,
  addSelectionFlags,
  addStoreFlag,
  namedStore,
  type OutputFlags,
  type SelectionFlags,
  storeRoot,
} from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import { refuseMistake } from "../mistakes.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Environment, Terminal } from "../terminal.ts";
import { addFetchFlags, readTransfer, type TransferFlags } from "../transfer-flags.ts";

interface PullFlags extends OutputFlags, SelectionFlags, ConnectionFlags, TransferFlags {
  readonly output?: string | undefined;
  readonly store?: string | undefined;
  readonly link?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
}

const examples = `
Examples:
  ballast pull registry.example.com/team/llama:v1 -o ./llama
  model=$(ballast pull registry.example.com/team/llama:v1)
  ballast pull registry.example.com/team/llama:v1 -o ./config --include "*.json"

With -o the files are ordinary files and are the only copy on this machine. Without it
the model goes into the store, where models share what they have in common, and the path
of its read-only tree is printed. Every byte is verified before it can be seen.

A killed pull loses nothing: run it again and it goes on where it stopped.`;

/** Adds `ballast pull`. */
export function addPull(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("pull")
    .summary("fetch a model, verified, into a folder or the store")
    .description("Fetches what is not here yet of a model, and prints the path of its files.")
    .argument("<REF>", "the model: HOST/REPOSITORY[:TAG][@DIGEST] or oci:DIR[:TAG]")
    .addHelpText("after", examples);
  addPullFlags(command);
  addSelectionFlags(command);
  addConnectionFlags(command);
  addFetchFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (reference: string, flags: PullFlags) => {
    refuseMistake("pull", [reference]);
    const connection = await readConnection(flags, terminal);
    const transfer = readTransfer(flags);
    const { pull } = await import("../../model/pull.ts");
    const { link, overwrite, include, exclude } = flags;
    const store = chooseStore(flags, terminal.environment);
    const instead = `it brings models too: ballast prefetch --wait ${reference}; into a folder: ballast pull -o DIR`;
    if (store !== undefined) await refuseAgentsStore(store, { instead }, terminal);
    const choices = { output: flags.output, store, link, overwrite, include, exclude };
    using report = openReport(terminal, flags);
    const result = await pull({
      reference,
      waitForLock: true,
      ...choices,
      ...connection,
      transfer,
      ...report.options,
    });
    report.end();
    const tag = parseReference(reference).tag ?? "latest";
    report.note(...describePull(result, tag, report.seconds()));
    await (flags.json === true ? output.printJson(result) : output.print(result.path));
  });
}

function addPullFlags(command: Command): void {
  command
    .optionsGroup("Where to:")
    .option("-o, --output <DIR>", "into this folder")
    .option("--overwrite", "replace files in DIR that are not from an earlier pull");
  addStoreFlag(command, "into this store; with -o, copy from it and keep the model there too")
    .option("--link", "with -o: hard links into the store instead of copies. Never write to them")
    .addHelpText("after", "\nThe default store: see `ballast help environment`.");
}

/** With an output folder the store is used only when somebody asked for one. */
function chooseStore({ output, store, link }: PullFlags, environment: Environment) {
  return output === undefined || link === true
    ? storeRoot(store, environment)
    : namedStore(store, environment);
}

/** The summary of a pull, in lines. */
function describePull(result: PullResult, tag: string, seconds: number): string[] {
  const { previousDigest, digest, bytes, removed } = result;
  return [
    ...(previousDigest === undefined ? [] : [`${tag} moved: ${previousDigest} -> ${digest}`]),
    `pulled ${formatCount(result.files, "file")}, ${formatBytes(bytes.total)}, in ${formatSeconds(seconds)}`,
    `  fetched: ${formatBytes(bytes.moved)}; here already: ${formatBytes(bytes.reused)}`,
    ...(removed.length === 0
      ? []
      : [`  removed: ${formatCount(removed.length, "file")} of the earlier pull`]),
  ];
}
