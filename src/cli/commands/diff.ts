import type { Command } from "commander";
import type { DiffResult } from "../../model/diff.ts";
import { formatBytes, formatCount } from "../amounts.ts";
import { addJsonFlag, type OutputFlags } from "../common-flags.ts";
import { addConnectionFlags, type ConnectionFlags, readConnection } from "../connection-flags.ts";
import type { Output } from "../output.ts";
import { openReport } from "../report.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";

interface DiffFlags extends OutputFlags, ConnectionFlags {}

const examples = `
Examples:
  ballast diff registry.example.com/team/llama:v1 registry.example.com/team/llama:v2
  ballast diff --json oci:./old:v1 oci:./new:v1`;

const mostTensors = 20;

/** Adds `ballast diff`. */
export function addDiff(program: Command, terminal: Terminal, output: Output): void {
  const command = program
    .command("diff")
    .summary("show what one model costs someone who has another")
    .description(
      "Shows which bytes, files and tensors of REF_B someone must fetch who has REF_A. Fetches neither.",
    )
    .argument("<REF_A>", "the model that is there")
    .argument("<REF_B>", "the model that is wanted")
    .addHelpText("after", examples);
  addConnectionFlags(command);
  addJsonFlag(command);
  command.action(async (from: string, to: string, flags: DiffFlags) => {
    const connection = await readConnection(flags, terminal);
    const { diff } = await import("../../model/diff.ts");
    using report = openReport(terminal, {});
    const result = await diff({ from, to, ...connection, ...report.options });
    report.end();
    if (flags.json === true) await output.printJson(result);
    else await output.print(...describeDiff(result));
  });
}

function describeDiff({ from, to, bytes, files, unchangedFiles, tensors }: DiffResult): string[] {
  const rows = files.map(({ path, change, size, moved }) => [
    change,
    formatBytes(size),
    change === "removed" ? "-" : formatBytes(moved),
    printable(path),
  ]);
  return [
    `${from} -> ${to}`,
    `  to fetch   ${formatBytes(bytes.moved)} of ${formatBytes(bytes.total)}`,
    `  shared     ${formatBytes(bytes.reused)}`,
    `  files      ${formatCount(files.length, "file")} differ, ${unchangedFiles} do not`,
    ...(rows.length === 0
      ? []
      : ["", ...formatTable(["CHANGE", "SIZE>", "TO FETCH>", "FILE"], rows)]),
    ...describeTensors(tensors),
  ];
}

function describeTensors(tensors: DiffResult["tensors"]): string[] {
  const kinds = [
    ["changed", tensors.changed],
    ["added", tensors.added],
    ["removed", tensors.removed],
  ] as const;
  if (kinds.every(([, names]) => names.length === 0) && tensors.unchanged === 0) return [];
  const counts = kinds.map(([kind, names]) => `${names.length} ${kind}`);
  const lines = kinds.flatMap(([kind, names]) => [
    ...names.slice(0, mostTensors).map((name) => `  ${kind.padEnd(9)} ${printable(name)}`),
    ...(names.length > mostTensors
      ? [`  ${kind.padEnd(9)} ... and ${names.length - mostTensors} more (--json has all)`]
      : []),
  ]);
  return ["", `TENSORS  ${counts.join(", ")}, ${tensors.unchanged} unchanged`, ...lines];
}
