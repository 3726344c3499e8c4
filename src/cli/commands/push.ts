import type { Command } from "commander";
import type { PushResult } from "../../model/push.ts";
import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import type { OutputFlags, SelectionFlags } from "../common-flags.ts";
import { addJsonFlag, addQuietFlag, addSelectionFlags } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import { collect, parseAnnotations } from "../flag-values.ts";
import { refuseMistake } from "../mistakes.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Terminal } from "../terminal.ts";
import { addTransferFlags, readTransfer, type TransferFlags } from "../transfer-flags.ts";

interface PushFlags extends OutputFlags, SelectionFlags, ConnectionFlags, TransferFlags {
  readonly base?: string | false | undefined;
  readonly followLinks?: boolean | undefined;
  readonly revision?: string | undefined;
  readonly annotation?: readonly string[] | undefined;
  readonly dryRun?: boolean | undefined;
  readonly overwrite: boolean;
}

const examples = `
Examples:
  ballast push ./llama registry.example.com/team/llama:v1
  ballast push ./llama-tuned registry.example.com/team/llama:v2 --base registry.example.com/team/llama:v1
  ballast push ~/.cache/huggingface/hub/models--org--name localhost:5000/name:v1
  ballast push ./llama oci:./exported:v1 --exclude "*.bin"

A killed push loses nothing: run it again and it sends only what is missing.`;

/** Adds `ballast push`. */
export function addPush(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("push")
    .summary("pack a model and send it to a registry")
    .description(
      "Packs a folder, a file or a Hugging Face cache folder and sends what the registry does not have. Prints the model's name with its digest.",
    )
    .argument("<SOURCE>", "folder, file or models--org--name cache folder")
    .argument("<REF>", "where to: HOST/REPOSITORY:TAG or oci:DIR:TAG")
    .addHelpText("after", examples);
  addPushFlags(command);
  addSelectionFlags(command);
  addConnectionFlags(command);
  addTransferFlags(command, 4);
  addQuietFlag(addJsonFlag(command));
  command.action(async (source: string, reference: string, flags: PushFlags) => {
    refuseMistake("push", [source, reference]);
    const { base, followLinks, revision, include, exclude, dryRun } = flags;
    const annotations = parseAnnotations(flags.annotation ?? []);
    const choices = { base, followLinks, revision, include, exclude, dryRun, annotations };
    const noOverwrite = !flags.overwrite;
    const connection = await readConnection(flags, terminal);
    const transfer = readTransfer(flags);
    const { push } = await import("../../model/push.ts");
    using report = openReport(terminal, flags);
    const result = await push({
      source,
      reference,
      noOverwrite,
      ...choices,
      ...connection,
      transfer,
      ...report.options,
    });
    report.end();
    report.note(...describePush(result, report.seconds()));
    await (flags.json === true ? output.printJson(result) : output.print(result.name));
  });
}

function addPushFlags(command: Command): void {
  command
    .optionsGroup("What is sent:")
    .option("--base <REF>", "build on the layers of REF, in the same registry")
    .option("--no-base", "build on nothing: the digest then depends on the bytes alone")
    .option("--follow-links", "pack what links out of SOURCE point to")
    .option("--revision <REV>", "revision of a Hugging Face cache folder; default refs/main")
    .option("--annotation <KEY=VALUE>", "add to the manifest; repeatable", collect)
    .option("--no-overwrite", "fail when the tag names other content already")
    .option("--dry-run", "read, hash and ask, but send nothing");
}

/** The summary of a push, in lines. */
function describePush(result: PushResult, seconds: number): string[] {
  const { tag, previousDigest, digest, bytes, layers, base, bounds, dryRun } = result;
  const [done, sent] = dryRun ? ["would push", "to send"] : ["pushed", "sent"];
  const files = formatCount(result.files, "file");
  const moved =
    previousDigest === undefined
      ? []
      : [`${tag} ${dryRun ? "would move" : "moved"}: ${previousDigest} -> ${digest}`];
  return [
    ...moved,
    `${done} ${files}, ${formatBytes(bytes.total)}, in ${formatSeconds(seconds)}`,
    `  ${sent}: ${formatBytes(bytes.moved)} in ${layers.moved} of ${formatCount(layers.total, "layer")}; there already: ${formatBytes(bytes.reused)}`,
    ...(base === undefined
      ? []
      : [`  built on ${base.name}: ${formatBytes(base.reusedBytes)} shared`]),
    ...bounds.map((bound) => `  ${bound}`),
  ];
}
