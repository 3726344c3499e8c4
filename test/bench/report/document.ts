import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes, formatCount } from "../../../src/cli/amounts.ts";
import { defaultRounds } from "../options.ts";
import type { Machine, Results, RowResult, Settings } from "../results.ts";
import { causes } from "./causes.ts";
import { drawChart } from "./chart.ts";
import { formatFact, rowCells } from "./row-cells.ts";
import { type Judgement, judge } from "./targets.ts";

/** Writes `performance.md` and its chart into `folder`; resolves to their paths. */
export async function writeDocument(results: Results, folder: string): Promise<string[]> {
  const texts = { "performance.md": describe(results), "performance.svg": drawChart(results.rows) };
  return Promise.all(
    Object.entries(texts).map(async ([name, text]) => {
      const path = join(folder, name);
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
      return path;
    }),
  );
}

/** The page, from the numbers alone. */
export function describe({ machine, settings, rows, finished }: Results): string {
  const judgements = judge(rows);
  return [
    "# Performance",
    "",
    "How fast Ballast is beside the programs that people use today, what it needs for it, and which of",
    "its targets it misses. `npm run bench -- --write-docs` writes this page; nothing in it is written",
    "by hand but the causes of what is missed (`test/bench/report/causes.ts`).",
    "",
    ...chartOf(rows, settings),
    "## Targets",
    "",
    ...table(
      ["target", "against", "promised", "measured", ""],
      judgements.map(({ target, measured, verdict }) => [
        target.what,
        target.against || "-",
        target.bound,
        measured,
        verdict === "missed" ? "**missed**" : verdict,
      ]),
    ),
    "",
    ...describeMisses(judgements),
    "## How it is measured",
    "",
    ...howItIsMeasured(settings),
    "",
    ...describeMachine(machine, finished),
    "",
    "To repeat it:",
    "",
    "```",
    `npm ci && npm run bench -- ${repeatFlags(settings)}--write-docs`,
    "```",
    "",
    "`npm run bench -- --only pull-tls` measures one row, `npm run bench -- --help` says more.",
    "",
    "## Rows",
    "",
    "Times are the median of the rounds and, in parentheses, what they lie between; `x best peer` is the",
    "median time of the fastest peer through that of the client. A client in parentheses does not do",
    "the whole work and is no peer.",
    "",
    ...rows.flatMap(describeRow),
  ].join("\n");
}

function chartOf(rows: readonly RowResult[], { bytes }: Settings): string[] {
  if (rows.every(({ workBytes }) => workBytes === undefined)) return [];
  const what = `Cold pulls and pushes of ${formatBytes(bytes)}, MiB/s of each program`;
  return [`![${what}](performance.svg)`, ""];
}

function describeMisses(judgements: readonly Judgement[]): string[] {
  const missed = judgements.filter(({ verdict }) => verdict === "missed");
  if (missed.length === 0) return [];
  const lines = missed.map(({ target }) => {
    const cause = causes[target.id] ?? "no cause is written down yet";
    return `- ${target.what} (\`${target.row}\`): ${cause}.`;
  });
  return ["### What is missed, and why", "", ...lines, ""];
}

function repeatFlags({ huge, rounds }: Settings): string {
  return `${huge ? "--huge " : ""}${rounds === defaultRounds ? "" : `--rounds ${rounds} `}`;
}

function howItIsMeasured({ bytes, rounds, warmups }: Settings): string[] {
  const first = `after ${formatCount(warmups, "warm-up")}, ${formatCount(rounds, "round")}`;
  return [
    `- Side by side in one run: ${first} (more where a run is short) in which every`,
    "  client runs once, each time in another order, with empty folders and, for a push, an empty registry.",
    `- The model is a Llama of ${formatBytes(bytes)} in 4 safetensors files, or in one, filled with pseudo-random`,
    "  bytes.",
    "- The registry is distribution 3 on loopback: plain HTTP, TLS with a CA of its own, and behind nginx",
    "  that gives each connection 50 MiB/s. Data, registry and outputs lie on one file system, named below.",
    "- Ballast runs as npm installs it, pulls into its store and verifies every byte. Peers pull the same",
    "  files as an artifact with one layer for each, with the fastest settings that they document: `crane",
    "  pull --format=oci` and `crane push`; `regctl image copy` with 8 requests at a time; `skopeo copy` into",
    "  `oci:`. `aria2c` with 16 connections downloads and hashes nothing.",
    "- What the first run of each client leaves is compared with the source, byte by byte.",
    "- CPU seconds and peak memory are those of the client's processes (wait4), requests and moved bytes are",
    "  from the access log of the registry, or of nginx before it; for a push, from the registry's disk.",
    "- For memory and requests, models of any size are pushed from sparse files to a registry that forgets",
    "  them, and pulled from one that makes them up. They differ in a few bytes of each chunk and are zeros",
    "  otherwise, so the largest can be written, to a file system that compresses.",
    "- A node is two processes, as npm installs them: the agent, a user without rights, and the plugin, with a",
    "  gRPC client in the place of the kubelet. A publish is timed from the call to its answer over one",
    "  connection, to a new pod each time; by tag and by digest in turns; the unpublish between is not timed.",
    "- 100 pods at once start on a fresh node, in turns with one pull by the agent of another; the kubelet",
    "  waits between its calls as a real one does. Files are read through the mount and in the store in",
    "  turns, 1 MiB at a time, after both were read once.",
    "- The agent's memory is its resident set in /proc, of a fresh agent for each size.",
  ];
}

function describeMachine(machine: Machine, finished: string): string[] {
  const { cpu, cores, memoryBytes, kernel, filesystem, versions } = machine;
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured on ${finished.slice(0, 10)}: ${cores} cores of ${cpu}, ${formatBytes(memoryBytes)} of memory, Linux ${kernel},`,
    `data on ${filesystem}. ${programs.join(", ")}.`,
  ];
}

function describeRow(row: RowResult): string[] {
  const { columns, lines } = rowCells(row);
  const facts = row.facts.map((fact) => `- ${fact.label}: ${formatFact(fact)}`);
  const notes = row.notes.map((note) => `${note}`);
  const blocks = [
    lines.length === 0 ? [] : table(columns, lines),
    facts,
    notes,
    row.skipped === undefined ? [] : [`Not measured: ${row.skipped}.`],
  ];
  const body = blocks.filter((block) => block.length > 0).flatMap((block) => [...block, ""]);
  return [`### \`${row.id}\`: ${row.title}`, "", ...body];
}

/** A Markdown table; a `>` behind a column's name aligns it to the right. */
function table(columns: readonly string[], lines: readonly (readonly string[])[]): string[] {
  const row = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const names = columns.map((column) => column.replace(/>$/, ""));
  const rule = columns.map((column) => (column.endsWith(">") ? "---:" : "---"));
  return [row(names), `|${rule.join("|")}|`, ...lines.map(row)];
}
