import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import type { PlannedRemoval, RepositoryPlan } from "../../../model/removal-plan.ts";
import type { RemovalPlan } from "../../../model/remove.ts";
import { formatBytes } from "../../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../../common-flags.ts";
import {
  addConnectionFlags,
  type ConnectionFlags,
  readConnection,
} from "../../connection-flags.ts";
import type { Output } from "../../output.ts";
import { askYesNo, canAsk } from "../../prompt.ts";
import { openReport } from "../../report.ts";
import type { Terminal } from "../../terminal.ts";

interface RemoveFlags extends OutputFlags, ConnectionFlags {
  readonly withReferrers?: boolean | undefined;
  readonly yes?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

const examples = `
Examples:
  ballast registry rm registry.example.com/team/llama:v1
  ballast registry rm registry.example.com/team/llama@sha256:9f86d0... --with-referrers
  ballast registry rm oci:./exported:v1 --dry-run

A tag is taken away and its manifest stays, by digest; a digest takes the manifest and every
tag that it has. Layers are the registry's to free when it collects garbage; of oci:DIR
ballast registry prune does that.`;

/** Adds `ballast registry rm`. */
export function addRemove(registry: Command, terminal: Terminal, output: Output): void {
  const command = registry
    .command("rm")
    .summary("remove tags and models from a registry")
    .description(
      "Removes tags (REPO:TAG) and manifests (REPO@DIGEST). Says first what goes, what remains and what that frees, and asks. Prints what it removed.",
    )
    .argument("<REF...>", "HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST, or the same of oci:DIR")
    .option("--with-referrers", "signatures and whatever else is attached to the manifest too")
    .option("-y, --yes", "do not ask; needed where nobody can be asked")
    .option("--dry-run", "only say what would go")
    .addHelpText("after", examples);
  addConnectionFlags(command);
  addQuietFlag(addJsonFlag(command));
  command.action(async (references: readonly string[], flags: RemoveFlags) => {
    const { dryRun, withReferrers, yes = false } = flags;
    if (dryRun !== true && !yes && !canAsk(terminal)) throw nobodyToAsk();
    const connection = await readConnection(flags, terminal);
    const { removeFromRepository } = await import("../../../model/remove.ts");
    using report = openReport(terminal, flags);
    const confirm = async (plan: RemovalPlan): Promise<boolean> => {
      report.end();
      // Who is asked has to know what for, with --quiet too.
      if (yes) report.note(...describePlan(plan, false));
      else terminal.stderr.write(`${describePlan(plan, false).join("\n")}\n`);
      return yes || askYesNo("Remove this?", terminal);
    };
    const choices = { references, withReferrers, dryRun, confirm };
    const result = await removeFromRepository({ ...choices, ...connection, ...report.options });
    report.end();
    if (dryRun === true) report.note(...describePlan(result, true));
    if (flags.json === true) await output.printJson(result);
    else await output.print(...result.removed);
  });
}

function nobodyToAsk(): ModelError {
  return new ModelError("INVALID_ARGUMENT", "nobody can be asked whether to remove this", {
    hint: "say --yes, or --dry-run to see what would go",
  });
}

function describePlan({ repositories }: RemovalPlan, dryRun: boolean): string[] {
  const verb = dryRun ? "would remove" : "removes";
  return repositories.flatMap((plan) => [
    ...plan.removals.flatMap((removal) => describeRemoval(removal, plan.repository, verb)),
    ...describeSpace(plan),
  ]);
}

function describeRemoval(removal: PlannedRemoval, repository: string, verb: string): string[] {
  const { kind, name, digest, tags, remainingTags, withReferrers } = removal;
  if (kind === "tag")
    return [
      `${verb} the tag ${name}`,
      `  its manifest stays: ${repository}@${digest}`,
      `  ${remainingTags.length === 0 ? "no other tag names it" : `still tagged ${remainingTags.join(", ")}`}`,
      ...describeAttached(removal, "stays with it"),
    ];
  return [
    `${verb} the manifest ${name}`,
    `  ${tags.length === 0 ? "it has no tag" : `with its ${tags.length === 1 ? "tag" : "tags"} ${tags.join(", ")}`}`,
    ...describeAttached(removal, withReferrers ? "goes too" : "stays, attached to nothing"),
  ];
}

function describeAttached({ attached }: PlannedRemoval, fate: string): string[] {
  if (attached === undefined) return [`  what is attached to it is not known, and ${fate}`];
  if (attached.length === 0) return [];
  const counted = [...Map.groupBy(attached, ({ kind }) => kind)].map(([kind, { length }]) =>
    length > 1 ? `${length} x ${kind}` : kind,
  );
  return [`  attached to it: ${counted.join(", ")}: ${fate}`];
}

function describeSpace({
  repository,
  removals,
  freeableBytes,
  sharedBytes,
}: RepositoryPlan): string[] {
  if (freeableBytes === undefined || sharedBytes === undefined)
    return [`${repository}: what this frees is not known, as a manifest cannot be read`];
  const shared =
    sharedBytes === 0 ? "" : `; ${formatBytes(sharedBytes)} stay, because other tags need them`;
  if (freeableBytes === 0) return [`${repository}: this frees nothing${shared}`];
  const tagsOnly = removals.every(({ kind }) => kind === "tag");
  const when = repository.startsWith("oci:")
    ? `ballast registry prune ${repository} frees them`
    : tagsOnly
      ? "removing the manifest by digest lets the registry free them"
      : "the registry frees them when it collects garbage";
  return [
    `${repository}: ${formatBytes(freeableBytes)} are then needed by no tag: ${when}${shared}`,
  ];
}
