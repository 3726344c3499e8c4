/** Parses JSON of our own making; undefined where a crash or a hand left something else, or nothing. */
export function parseOrUndefined(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
