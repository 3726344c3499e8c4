/** Says that a name is not known, and what was probably meant or what there is. */
export function unknownName(what: string, name: string, known: Iterable<string>): string {
  const names = [...known];
  const near = nearest(name, names);
  if (near !== undefined) return `unknown ${what} ${name}, did you mean ${near}?`;
  const some = names.toSorted().slice(0, 12).join(", ");
  const more = names.length > 12 ? ", ..." : "";
  return `unknown ${what} ${name}${names.length === 0 ? "" : `, there is ${some}${more}`}`;
}

/** The name that is fewest edits away, where that is a typing mistake. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const most = Math.max(name.length > 3 ? 2 : 1, Math.floor(name.length / 3));
  const ranked = known
    .map((each) => ({ each, edits: countEdits(name.toLowerCase(), each.toLowerCase()) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.each;
}

/** Levenshtein's distance. */
function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, letter] of from.split("").entries()) {
    const next = [line + 1];
    for (const [column, other] of to.split("").entries()) {
      const changed = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
