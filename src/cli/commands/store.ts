import type { Command } from "commander";
import { ModelError } from "../../core/errors.ts";
import { parseSize } from "../../core/size.ts";
import type { FreedBytes, StoredModel } from "../../model/stored-models.ts";
import { type AgentFlags, addRunFlag, ownerOf, refuseAgentsStore } from "../agent-flags.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import {
  addJsonFlag,
  addQuietFlag,
  addStoreFlag,
  type OutputFlags,
  storeRoot,
} from "../common-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";
import { describeProblem } from "./verify.ts";

interface StoreFlags extends OutputFlags, AgentFlags {
  readonly store?: string | undefined;
}

interface GarbageFlags extends StoreFlags {
  readonly maxBytes?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

const examples = `
Examples:
  ballast store ls
  ballast store pin registry.example.com/team/llama:v1
  ballast store gc --max-bytes 200GiB

MODEL is a reference with tag or digest, or a manifest digest alone. A store that the agent
of this node owns is changed by asking the agent.`;

/** Adds `ballast store` and its commands. */
export function addStore(program: Command, terminal: Terminal, output: Output): void {
  const store = program
    .command("store")
    .helpCommand(false)
    .summary("look after the models on this machine")
    .description("The store keeps models that were pulled without -o, each file once.")
    .addHelpText("after", examples);
  addList(store, terminal, output);
  addRemove(store, terminal, output);
  addGarbageCollection(store, terminal, output);
  addVerifyStore(store, terminal, output);
  addPin(store, terminal, output, true);
  addPin(store, terminal, output, false);
}

function addList(store: Command, terminal: Terminal, output: Output): void {
  const command = store.command("ls").summary("list models, most recently used first");
  finish(command, "Lists the models of the store, most recently used first.");
  command.action(async (flags: StoreFlags) => {
    const { listModels } = await import("../../model/stored-models.ts");
    const models = await listModels({ store: rootOf(flags, terminal) });
    if (flags.json === true) await output.printJson({ models });
    else if (models.length > 0) await output.print(...describeModels(models));
  });
}

function addRemove(store: Command, terminal: Terminal, output: Output): void {
  const command = store
    .command("rm")
    .summary("remove one model")
    .argument("<MODEL>", "reference or manifest digest");
  finish(addQuietFlag(command), "Removes a model; what other models share with it stays.");
  command.action(async (model: string, flags: StoreFlags) => {
    const { removeModel } = await import("../../model/stored-models.ts");
    using report = openReport(terminal, flags);
    const store = rootOf(flags, terminal);
    const agent = await ownerOf(store, flags, terminal);
    const freed =
      agent === undefined
        ? await removeModel({ store, model, ...report.options })
        : await agent.remove({ model }, report.options);
    report.end();
    report.note(...describeFreed(freed, "removed"));
    if (flags.json === true) await output.printJson(freed);
  });
}

function addGarbageCollection(store: Command, terminal: Terminal, output: Output): void {
  const command = store
    .command("gc")
    .summary("delete what no model needs, and old models beyond a size")
    .option(
      "--max-bytes <SIZE>",
      "then also the least recently used models, down to SIZE",
      parseSize,
    )
    .option("--dry-run", "only say what would go");
  finish(
    addQuietFlag(command),
    "Deletes what no model needs. With --max-bytes also models, least recently used first and never pinned ones, until the files of the store are at most SIZE (10GiB, 500MB).",
  );
  command.action(async (flags: GarbageFlags) => {
    const { collectGarbage } = await import("../../model/stored-models.ts");
    using report = openReport(terminal, flags);
    const { maxBytes, dryRun } = flags;
    const store = rootOf(flags, terminal);
    const agent = await ownerOf(store, flags, terminal);
    const freed =
      agent === undefined
        ? await collectGarbage({ store, maxBytes, dryRun, ...report.options })
        : await agent.collect({ maxBytes, dryRun }, report.options);
    report.end();
    report.note(...describeFreed(freed, dryRun === true ? "would remove" : "removed"));
    if (flags.json === true) await output.printJson(freed);
  });
}

function addVerifyStore(store: Command, terminal: Terminal, output: Output): void {
  const command = store.command("verify").summary("re-read every file of the store");
  finish(
    addQuietFlag(command),
    "Re-reads every file. Rotten ones are put aside, so that the next pull fetches them again.",
  );
  command.action(async (flags: StoreFlags) => {
    const { verifyStore } = await import("../../model/stored-models.ts");
    const store = rootOf(flags, terminal);
    const instead =
      "it reads its files again by itself (store.scrubBytesPerSecond); stop it to do so now";
    await refuseAgentsStore(store, { ...flags, instead }, terminal);
    using report = openReport(terminal, flags);
    const result = await verifyStore({ store, ...report.options });
    report.end();
    const { files, bytes, problems } = result;
    const seconds = formatSeconds(report.seconds());
    report.note(`checked ${formatCount(files, "file")}, ${formatBytes(bytes)}, in ${seconds}`);
    if (flags.json === true) await output.printJson(result);
    else await output.print(...problems.map(describeProblem));
    if (problems.length > 0) throw storeFailed(problems.length);
  });
}

function addPin(store: Command, terminal: Terminal, output: Output, pinned: boolean): void {
  const [name, summary, description] = pinned
    ? ["pin", "keep a model until it is unpinned", "Keeps a model from gc and rm."]
    : ["unpin", "let a pinned model go again", "Lets gc and rm take a pinned model again."];
  const command = store
    .command(name)
    .summary(summary)
    .argument("<MODEL>", "reference or manifest digest");
  finish(addQuietFlag(command), description);
  command.action(async (model: string, flags: StoreFlags) => {
    const { pinModel } = await import("../../model/stored-models.ts");
    using report = openReport(terminal, flags);
    const store = rootOf(flags, terminal);
    const agent = await ownerOf(store, flags, terminal);
    if (agent === undefined) await pinModel({ store, model, pinned, ...report.options });
    else await agent.pin({ model, pinned }, report.options);
    report.end();
    report.note(`${name}ned ${model}`);
    if (flags.json === true) await output.printJson({ model, pinned });
  });
}

function finish(command: Command, description: string): void {
  command.description(description);
  addStoreFlag(command, "the store; default: BALLAST_STORE, else ~/.cache/ballast");
  addRunFlag(command);
  addJsonFlag(command);
}

function rootOf(flags: StoreFlags, { environment }: Terminal): string {
  return storeRoot(flags.store, environment);
}

function describeModels(models: readonly StoredModel[]): string[] {
  const rows = models.map((model) => [
    formatBytes(model.bytes),
    formatBytes(model.exclusiveBytes),
    model.lastUsed.slice(0, 16).replace("T", " "),
    model.pinned ? "pinned" : model.trees.length === 0 ? "incomplete" : "",
    model.tags.join(",") || "-",
    printable(model.name),
  ]);
  return formatTable(["SIZE>", "OWN>", "LAST USED (UTC)", "STATE", "TAGS", "MODEL"], rows);
}

function describeFreed({ removed, freed }: FreedBytes, verb: string): string[] {
  const names = removed.map((name) => `  ${name}`);
  return [`${verb} ${formatCount(removed.length, "model")}, ${formatBytes(freed)}`, ...names];
}

function storeFailed(problems: number): ModelError {
  return new ModelError("VERIFY_FAILED", `the store has ${formatCount(problems, "problem")}`, {
    hint: "what is listed was put aside: pull the models again and it is fetched anew",
  });
}
