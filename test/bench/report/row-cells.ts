import { formatBytes } from "../../../src/cli/amounts.ts";
import {
  medianSeconds,
  type Summary,
  summarizeRuns,
  timesBestPeer,
} from "../measure/statistics.ts";
import type { Entry, Fact, RowResult, Run } from "../results.ts";

/** A table: a `>` behind a column's name aligns it to the right. */
export interface Cells {
  readonly columns: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

interface Column {
  readonly name: string;
  readonly cell: (entry: Entry, row: RowResult) => string | undefined;
}

const mebi = 2 ** 20;

const columns: readonly Column[] = [
  { name: "client", cell: ({ client, role }) => (role === "limit" ? `(${client})` : client) },
  {
    name: "wall s>",
    cell: (entry) =>
      describe(
        summarizeRuns(entry, (run) => run.seconds),
        2,
      ),
  },
  {
    name: "MiB/s>",
    cell: (entry, { workBytes }) =>
      workBytes === undefined ? undefined : (workBytes / mebi / medianSeconds(entry)).toFixed(0),
  },
  { name: "CPU s>", cell: (entry) => middle(entry, (run) => run.cpuSeconds, 2) },
  { name: "peak MiB>", cell: (entry) => middle(entry, (run) => run.peakBytes / mebi, 0) },
  { name: "requests>", cell: (entry) => middle(entry, (run) => run.requests, 0) },
  { name: "moved MiB>", cell: (entry) => middle(entry, (run) => over(run.movedBytes, mebi), 1) },
  { name: "server CPU s>", cell: (entry) => middle(entry, serverSeconds, 2) },
  {
    name: "x best peer>",
    cell: (entry, row) => timesBestPeer(row, entry)?.toFixed(2),
  },
];

/** What the clients of a row cost; columns that nobody has are left out. */
export function rowCells(row: RowResult): Cells {
  const measured = row.entries.filter(({ runs }) => runs.length > 0);
  const filled = columns.filter(({ cell }) => measured.some((entry) => cell(entry, row)));
  return {
    columns: filled.map(({ name }) => name),
    lines: measured.map((entry) => filled.map(({ cell }) => cell(entry, row) ?? "")),
  };
}

/** A fact as a reader wants it: `12.3 MiB`, `450`, `8.1 ms`, `0.987`. */
export function formatFact({ value, unit }: Pick<Fact, "value" | "unit">): string {
  return formats[unit](value);
}

const formats: Readonly<Record<Fact["unit"], (value: number) => string>> = {
  bytes: formatBytes,
  count: String,
  seconds: (value) => (value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`),
  ratio: (value) => value.toFixed(3),
};

function middle(
  entry: Entry,
  pick: (run: Run) => number | undefined,
  digits: number,
): string | undefined {
  return summarizeRuns(entry, pick)?.median.toFixed(digits);
}

/** The median and what the runs lie between, where there were several. */
function describe(summary: Summary | undefined, digits: number): string | undefined {
  if (summary === undefined) return undefined;
  const { median, least, most } = summary;
  const text = median.toFixed(digits);
  return least === most ? text : `${text} (${least.toFixed(digits)}-${most.toFixed(digits)})`;
}

function serverSeconds({ serverSeconds: seconds }: Run): number | undefined {
  return seconds === 0 ? undefined : seconds;
}

function over(value: number | undefined, unit: number): number | undefined {
  return value === undefined ? undefined : value / unit;
}
