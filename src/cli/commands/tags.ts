import type { Command } from "commander";
import type { ListedTag, TagList } from "../../model/tags.ts";
import { formatBytes, formatCount } from "../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";

interface TagsFlags extends OutputFlags, ConnectionFlags {
  readonly long?: boolean | undefined;
  readonly all?: boolean | undefined;
}

const examples = `
Examples:
  ballast tags registry.example.com/team/llama
  ballast tags --long oci:./exported`;

/** Adds `ballast tags`. */
export function addTags(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("tags")
    .summary("list the tags of a repository")
    .description("Lists the tags of a repository, v2 before v10, one a line.")
    .argument("<REPO>", "HOST/REPOSITORY or oci:DIR")
    .option("-l, --long", "with digest, size, type and time, for a request or two per tag")
    .option("--all", "also tags that only keep signatures and the like of other manifests")
    .addHelpText("after", examples);
  addConnectionFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (repository: string, flags: TagsFlags) => {
    const connection = await readConnection(flags, terminal);
    const { listTags } = await import("../../model/tags.ts");
    using report = openReport(terminal, flags);
    const { all, json = false, long = false } = flags;
    const details = json || long;
    const result = await listTags({ repository, details, all, ...connection, ...report.options });
    report.end();
    report.note(...describeAbsence(result));
    if (json) await output.printJson(result);
    else if (long && result.tags.length > 0) await output.print(...describeTags(result.tags));
    else await output.print(...result.tags.map(({ tag }) => printable(tag)));
  });
}

function describeAbsence({ repository, tags, hidden }: TagList): string[] {
  const named = `${formatCount(hidden, "tag")} of signatures and the like: --all shows them`;
  if (hidden > 0) return [named];
  return tags.length > 0
    ? []
    : [`${repository} has no tags, does not exist, or is hidden from these credentials`];
}

function describeTags(tags: readonly ListedTag[]): string[] {
  const rows = tags.map(({ tag, bytes, created, artifactType, mediaType, digest }) => [
    printable(tag),
    bytes === undefined ? "-" : formatBytes(bytes),
    printable(created ?? "-"),
    digest ?? "-",
    printable(artifactType ?? mediaType ?? "-"),
  ]);
  return formatTable(["TAG", "SIZE>", "CREATED", "DIGEST", "TYPE"], rows);
}
