import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import { parseReference } from "../../../core/reference.ts";
import type { PruneOptions, PruneResult } from "../../../registry/server/prune.ts";
import type { PruneReport } from "../../../registry/server/pruning.ts";
import { formatBytes, formatCount } from "../../amounts.ts";
import { addJsonFlag, addQuietFlag, type OutputFlags } from "../../common-flags.ts";
import { parseDuration } from "../../flag-values.ts";
import type { Output } from "../../output.ts";
import { openReport } from "../../report.ts";
import { formatTable } from "../../table.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";

interface PruneFlags extends OutputFlags {
  readonly root?: string | undefined;
  readonly grace?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

type Pruned = PruneResult["repositories"][number];

const examples = `
Examples:
  ballast registry prune --root /srv/models --dry-run
  ballast registry prune oci:./exported --grace 1h

What a tag reaches stays: manifests, what they name, and their referrers, such as signatures. The rest is
remembered the first time and goes in a later run, when nothing has reached it for the grace.`;

/** Adds `ballast registry prune`. */
export function addPrune(registry: Command, terminal: Terminal, output: Output): void {
  const prune = registry
    .command("prune")
    .summary("remove what no tag reaches")
    .description(
      "Removes manifests and blobs that no tag has reached for the grace, from the folder of an embedded registry, also while it is served, or from an OCI layout.",
    )
    .argument("[LAYOUT]", "an OCI layout, as oci:DIR")
    .option("--root <DIR>", "the folder of a registry: all its repositories")
    .option("--grace <TIME>", "how long what nothing reaches stays (default: 24h)", parseDuration)
    .option("--dry-run", "only say what would go")
    .addHelpText("after", examples);
  addQuietFlag(addJsonFlag(prune));
  prune.action(async (layout: string | undefined, flags: PruneFlags) => {
    using report = openReport(terminal, flags);
    const { grace: graceMs, dryRun } = flags;
    const result = await run(layout, flags.root, { graceMs, dryRun, ...report.options });
    report.end();
    if (flags.json === true) await output.printJson(result);
    else await output.print(...describeResult(result));
    report.note(...describeSum(result, dryRun === true));
    throwFirst(result.repositories);
  });
}

/** One line of a server's log. */
export function describePruning(report: PruneReport): string {
  if ("failure" in report) return `pruning failed: ${report.failure.message}`;
  const failures = report.repositories.flatMap((each) =>
    "failure" in each ? [`${each.repository}: ${each.failure.message}`] : [],
  );
  return ["pruning:", ...describeSum(report, false), ...failures].join(" ");
}

async function run(
  layout: string | undefined,
  root: string | undefined,
  options: PruneOptions,
): Promise<PruneResult> {
  const { pruneLayout, pruneRoot } = await import("../../../registry/server/prune.ts");
  if ((layout === undefined) === (root === undefined))
    throw new ModelError("INVALID_ARGUMENT", "what is to be pruned?", {
      hint: "say --root DIR for a registry's folder, or oci:DIR for one layout",
    });
  if (root !== undefined) return pruneRoot(root, options);
  const reference = parseReference(layout ?? "");
  if (reference.kind === "registry")
    throw new ModelError("INVALID_ARGUMENT", `${reference.host} cannot be pruned from here`, {
      hint: "a registry does not list what no tag reaches: use its own collector; for one that Ballast serves, --root DIR on its host",
    });
  if (reference.tag !== undefined || reference.digest !== undefined)
    throw new ModelError("INVALID_ARGUMENT", "a layout is pruned as a whole", {
      hint: `say oci:${reference.directory}`,
    });
  return pruneLayout(reference.directory, options);
}

function describeResult({ repositories }: PruneResult): string[] {
  const done = repositories.flatMap((each) => ("failure" in each ? [] : [each]));
  const lines = done.flatMap(({ repository, removed }) =>
    removed.map(({ digest, kind, bytes, freedBytes }) => [
      kind,
      formatBytes(bytes),
      formatBytes(freedBytes),
      digest,
      printable(repository),
    ]),
  );
  if (lines.length === 0) return [];
  return formatTable(["KIND", "SIZE>", "FREES>", "DIGEST", "REPOSITORY"], lines);
}

function describeSum({ repositories, freedBytes }: PruneResult, dryRun: boolean): string[] {
  const verb = dryRun ? "would remove" : "removed";
  const done = repositories.flatMap((each) => ("failure" in each ? [] : [each]));
  const rows = done.filter(({ removed }) => removed.length > 0);
  const each = rows.map(
    (one) =>
      `  ${printable(one.repository)}: ${formatCount(one.removed.length, "blob")}, ${formatBytes(one.freedBytes)}`,
  );
  const count = done.reduce((sum, { removed }) => sum + removed.length, 0);
  const waiting = done.reduce((sum, one) => sum + one.waiting, 0);
  const waitingBytes = done.reduce((sum, one) => sum + one.waitingBytes, 0);
  const sum = `${verb} ${formatCount(count, "blob")}, ${formatBytes(freedBytes)}`;
  const rest = `${formatCount(waiting, "blob")}, ${formatBytes(waitingBytes)}`;
  return [waiting === 0 ? sum : `${sum}; out of reach, but not for long enough: ${rest}`, ...each];
}

/** The others were pruned. */
function throwFirst(repositories: readonly Pruned[]): void {
  const failed = repositories.flatMap((each) => ("failure" in each ? [each] : []));
  const [first] = failed;
  if (first === undefined) return;
  const more = failed.length > 1 ? `, and ${failed.length - 1} more` : "";
  const { code, message, hint } = first.failure;
  throw new ModelError(code, `${first.repository} was left as it is${more}: ${message}`, { hint });
}
