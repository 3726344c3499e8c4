import type { Entry, Role, RowResult, Run } from "../bench/results.ts";

/** A client of a row that ran this many seconds each time. */
export function makeEntry(
  client: string,
  role: Role,
  seconds: readonly number[],
  more: Partial<Run> = {},
): Entry {
  const runs = seconds.map((each) => ({
    seconds: each,
    cpuSeconds: each,
    peakBytes: 104_857_600,
    ...more,
  }));
  return { client, role, runs };
}

/** A row of the bench. */
export function makeRow(more: Partial<RowResult> = {}): RowResult {
  return { id: "pull-tls", title: "a row", entries: [], facts: [], notes: [], ...more };
}
