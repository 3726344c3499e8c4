import { formatTable } from "../../../src/cli/table.ts";
import type { RowResult } from "../results.ts";
import { formatFact, rowCells } from "./row-cells.ts";
import { judge } from "./targets.ts";

/** A row for the terminal: its table, its facts and, if they count, how far its targets are met. */
export function formatRow(row: RowResult, counts: boolean): string {
  const { columns, lines } = rowCells(row);
  const verdicts = judge(counts ? [row] : []).map(
    ({ target, measured, verdict }) => `${verdict}: ${target.what}: ${measured}, ${target.bound}`,
  );
  const body = [
    ...(lines.length === 0 ? [] : formatTable(columns, lines)),
    ...row.facts.map((fact) => `${fact.label}: ${formatFact(fact)}`),
    ...(row.skipped === undefined ? [] : [`skipped: ${row.skipped}`]),
    ...verdicts,
  ];
  return [`${row.id}: ${row.title}`, ...body.map((line) => `  ${line}`), ""].join("\n");
}
