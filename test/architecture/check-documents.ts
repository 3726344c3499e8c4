import { splitRow } from "./document-tables.ts";

/**
 * Checks docs/faults.md: each row has a known code (or `-`) and a test that is there. `tests` maps
 * a test file to its source. Returns one sentence per fault.
 */
export function checkFaults(
  document: string,
  codes: readonly string[],
  tests: ReadonlyMap<string, string>,
): string[] {
  return tableRows(document).flatMap(([fault = "", code = "", where = "", ...more]) => {
    const row = `"${fault}"`;
    if (fault === "" || where === "" || more.length > 0) return [`${row}: needs three columns`];
    if (code !== "-" && !codes.includes(code)) return [`${row}: no error code "${code}"`];
    const [, path = "", title = ""] = /^(test\/\S+\.test\.ts): (.+)$/.exec(where) ?? [];
    if (path === "") return [`${row}: "${where}" is not "test/path/file.test.ts: title"`];
    const source = tests.get(path);
    if (source === undefined) return [`${row}: there is no ${path}`];
    return hasTest(source, title) ? [] : [`${row}: ${path} has no test "${title}"`];
  });
}

/** Checks docs/errors.md: one section with text per code, no other. Returns one sentence per fault. */
export function checkErrorSections(document: string, codes: readonly string[]): string[] {
  const sections = new Map(
    document
      .split(/^## /m)
      .slice(1)
      .map((section) => {
        const [heading = "", ...lines] = section.split("\n");
        return [heading.trim(), lines.filter((line) => line.trim() !== "").length] as const;
      }),
  );
  return [
    ...codes.filter((code) => !sections.has(code)).map((code) => `no section for ${code}`),
    ...[...sections.keys()]
      .filter((heading) => !codes.includes(heading))
      .map((heading) => `"${heading}" is no error code`),
    ...[...sections]
      .filter(([, lines]) => lines < 2)
      .map(([heading]) => `${heading} is not explained`),
  ];
}

/** The cells of each row below the header of the document's tables, without code marks. */
function tableRows(document: string): string[][] {
  const lines = document.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => splitRow(line).map((cell) => cell.replace(/^`(.*)`$/, "$1")));
}

/** Tells whether `title` is the first argument of a call, as a test's title is. */
function hasTest(source: string, title: string): boolean {
  const quoted = [JSON.stringify(title), `\`${title}\``, `'${title}'`];
  return new RegExp(`\\(\\s*(?:${quoted.map((text) => RegExp.escape(text)).join("|")})\\s*,`).test(
    source,
  );
}
