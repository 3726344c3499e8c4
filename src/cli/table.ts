import { pad, textWidth } from "./text.ts";

/** Lays rows out in columns two spaces apart; a column whose title ends in `>` is right-aligned. */
export function formatTable(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const sides = titles.map((title) => (title.endsWith(">") ? "left" : "right"));
  const names = titles.map((title) => title.replace(/>$/, ""));
  const all = [names, ...rows];
  const widths = names.map((_, column) =>
    all.reduce((most, row) => Math.max(most, textWidth(row[column] ?? "")), 0),
  );
  return all.map((row) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, sides[column]))
      .join("  ")
      .trimEnd(),
  );
}
