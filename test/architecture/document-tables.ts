/** A table of a Markdown document; cells as they are written, without the spaces around. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Reads the document's tables, in order. */
export function readTables(document: string): Table[] {
  const blocks = document.match(/(?:^\|.*$\n?)+/gm) ?? [];
  return blocks.map((block) => {
    const [header = [], , ...rows] = block.trimEnd().split("\n").map(splitRow);
    return { header, rows };
  });
}

/** The table whose header begins with these cells. Throws where there is none, or more than one. */
export function findTable(document: string, ...header: readonly string[]): Table {
  const found = readTables(document).filter((table) =>
    header.every((cell, at) => table.header[at] === cell),
  );
  const [table] = found;
  if (table === undefined || found.length > 1)
    throw new Error(`${found.length} tables begin with ${header.join(" | ")}`);
  return table;
}

/** The cells of one row. */
export function splitRow(line: string): string[] {
  const cells = line.replace(/^\||\|\s*$/g, "").split(/(?<!\\)\|/);
  return cells.map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** What stands in code marks in a cell. */
export function codesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** What stands in code marks in the first cell of each row. */
export function firstCodes({ rows }: Table): string[] {
  return rows.flatMap(([first = ""]) => codesIn(first));
}
