/**
 * The ids that `patterns` choose, in the order of `ids`: an id, or the start of some with a `*` behind
 * it. No pattern chooses all. Throws for a pattern that chooses none.
 */
export function chooseRows(ids: readonly string[], patterns: readonly string[]): string[] {
  if (patterns.length === 0) return [...ids];
  const idle = patterns.filter((pattern) => !ids.some((id) => fits(id, pattern)));
  if (idle.length > 0)
    throw new Error(`no row is called ${idle.join(" or ")}; there is ${ids.join(", ")}`);
  return ids.filter((id) => patterns.some((pattern) => fits(id, pattern)));
}

function fits(id: string, pattern: string): boolean {
  return pattern.endsWith("*") ? id.startsWith(pattern.slice(0, -1)) : id === pattern;
}
