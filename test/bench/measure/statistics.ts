import type { Entry, RowResult, Run } from "../results.ts";

/** The middle of several numbers and how far they lie apart. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Summarises at least one number. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) throw new Error("nothing was measured");
  const upper = sorted[Math.floor(sorted.length / 2)] ?? most;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? least;
  return { median: (lower + upper) / 2, least, most };
}

/** The least of the values that is no less than `share` of them: 0.99 is p99. */
export function percentile(values: readonly number[], share: number): number {
  const found = values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)];
  if (found === undefined) throw new Error("nothing was measured");
  return found;
}

/** Summarises one number of each run of a client; undefined where no run has it. */
export function summarizeRuns(
  entry: Entry,
  pick: (run: Run) => number | undefined,
): Summary | undefined {
  const values = entry.runs.flatMap((run) => pick(run) ?? []);
  return values.length === 0 ? undefined : summarize(values);
}

/** Median seconds of a client. */
export function medianSeconds(entry: Entry): number {
  return summarize(entry.runs.map((run) => run.seconds)).median;
}

/** What Ballast did in a row; undefined when nothing was measured. */
export function oursIn(row: RowResult): Entry | undefined {
  return row.entries.find(({ role, runs }) => role === "ours" && runs.length > 0);
}

/** The peer with the shortest median time. */
export function bestPeer(row: RowResult): Entry | undefined {
  return row.entries
    .filter(({ role, runs }) => role === "peer" && runs.length > 0)
    .toSorted((a, b) => medianSeconds(a) - medianSeconds(b))[0];
}

/** How many times as fast as the best peer a client is; undefined where there is no peer. */
export function timesBestPeer(row: RowResult, entry: Entry): number | undefined {
  const best = bestPeer(row);
  return best === undefined ? undefined : medianSeconds(best) / medianSeconds(entry);
}
