import type { Command } from "commander";
import type { TagResult } from "../../model/tag.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import type { Terminal } from "../terminal.ts";

interface TagFlags extends OutputFlags, ConnectionFlags {
  readonly overwrite: boolean;
}

const examples = `
Examples:
  ballast tag registry.example.com/team/llama:v2 stable latest
  ballast tag registry.example.com/team/llama@sha256:9f86d0... v1 --no-overwrite`;

/** Adds `ballast tag`. */
export function addTag(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("tag")
    .summary("point more tags at a model")
    .description(
      "Points tags of the same repository at what REF names; nothing but its manifest is sent. Prints the name with its digest.",
    )
    .argument("<REF>", "what is tagged: a model, or any other manifest")
    .argument("<TAG...>", "tags alone, such as v2")
    .option("--no-overwrite", "fail when one of the tags names other content already")
    .addHelpText("after", examples);
  addConnectionFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (reference: string, tags: readonly string[], flags: TagFlags) => {
    const connection = await readConnection(flags, terminal);
    const { tag } = await import("../../model/tag.ts");
    using report = openReport(terminal, flags);
    const noOverwrite = !flags.overwrite;
    const result = await tag({ reference, tags, noOverwrite, ...connection, ...report.options });
    report.end();
    report.note(...describeTags(result));
    await (flags.json === true ? output.printJson(result) : output.print(result.name));
  });
}

function describeTags({ digest, tags }: TagResult): string[] {
  return tags.map(({ tag, previousDigest }) => {
    if (previousDigest === undefined) return `${tag} is new: ${digest}`;
    if (previousDigest === digest) return `${tag} named it already`;
    return `${tag} moved: ${previousDigest} -> ${digest}`;
  });
}
