import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import type { CheckRegistryResult } from "../../../model/check-registry.ts";
import { formatBytes } from "../../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../../common-flags.ts";
import {
  addConnectionFlags,
  type ConnectionFlags,
  readConnection,
} from "../../connection-flags.ts";
import type { Output } from "../../output.ts";
import { openReport } from "../../report.ts";
import { formatTable } from "../../table.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";

interface CheckFlags extends OutputFlags, ConnectionFlags {
  readonly readOnly?: boolean | undefined;
  readonly mountFrom?: string | undefined;
  readonly yes?: boolean | undefined;
}

const examples = `
Examples:
  ballast registry check registry.example.com/team/models
  ballast registry check --mount-from team/base registry.example.com/team/models
  ballast registry check --read-only registry.example.com/team/llama:v1

It pushes small content of its own under tags ballast-check-..., and deletes all of it
again, also after Ctrl-C. Where a registry does not delete, it says what would stay and
writes nothing without --yes. The exit status is 0 when models can be pushed and pulled.`;

/** Adds `ballast registry check`. */
export function addCheck(registry: Command, terminal: Terminal, output: Output): void {
  const check = registry
    .command("check")
    .summary("find out what a registry can")
    .description(
      "Tries on a repository what Ballast and other clients ask of a registry, and says what works, what will be slow and what will not work.",
    )
    .argument("<HOST/REPO>", "the repository to try it on; with --read-only a model in it")
    .option("--read-only", "write nothing: only read the model that is named")
    .option("--mount-from <REPO>", "try mounts from this repository of the same registry too")
    .option("-y, --yes", "go on where what is written cannot be deleted")
    .addHelpText("after", examples);
  addConnectionFlags(check);
  addQuietFlag(addJsonFlag(check));
  check.action(async (reference: string, flags: CheckFlags) => {
    const { readOnly, mountFrom, yes: acceptLeftovers } = flags;
    const connection = await readConnection(flags, terminal);
    const { checkRegistry } = await import("../../../model/check-registry.ts");
    const stopping = "stopping: deleting what was written; once more leaves it there";
    using report = openReport(terminal, { ...flags, stopping });
    const what = { reference, readOnly, mountFrom, acceptLeftovers };
    const result = await checkRegistry({ ...what, ...connection, ...report.options });
    report.end();
    if (flags.json === true) await output.printJson(result);
    else await output.print(...describeCheck(result).map(printable));
    const failure = findFailure(result);
    if (failure !== undefined) throw failure;
  });
}

/** What a check found: what it means first, then what it saw. */
function describeCheck({ name, verdicts, behaviours, left }: CheckRegistryResult): string[] {
  const kept = left.tags.length + left.manifests.length + left.blobs.length;
  return [
    name,
    "",
    ...formatTable(
      ["FOR", "", "THAT MEANS"],
      verdicts.map(({ topic, answer, words }) => [topic, answer, words]),
    ),
    "",
    ...formatTable(
      ["", "BEHAVIOUR", "ANSWER"],
      behaviours.map(({ title, result, said = "" }) => [result, title, said]),
    ),
    ...(kept === 0 ? [] : ["", ...describeLeft(left)]),
  ];
}

function describeLeft({ tags, manifests, blobs, bytes }: CheckRegistryResult["left"]): string[] {
  return [
    `STAYS: ${formatBytes(bytes)} that could not be deleted`,
    ...tags.map((tag) => `tag ${tag}`),
    ...manifests.map((digest) => `manifest ${digest}`),
    ...blobs.map((digest) => `blob ${digest}`),
  ];
}

function findFailure({ name, pulls, verdicts }: CheckRegistryResult): ModelError | undefined {
  const failing = verdicts.find(
    ({ topic, answer }) => answer === "fails" && (topic === "push" || topic === "pull"),
  );
  if (failing === undefined && pulls === true) return undefined;
  const why = failing?.words ?? "nothing could be pulled";
  return new ModelError("REGISTRY_UNSUPPORTED", `${name} is no registry for models: ${why}`);
}
