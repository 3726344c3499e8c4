import { formatBytes } from "../../../src/cli/amounts.ts";
import { maxChunkBytes } from "../../../src/core/chunk-index.ts";
import {
  bestPeer,
  medianSeconds,
  oursIn,
  summarizeRuns,
  timesBestPeer,
} from "../measure/statistics.ts";
import type { Entry, RowResult } from "../results.ts";

/** What Ballast promises of a row. */
export interface Target {
  readonly id: string;
  /** The row it is measured by. */
  readonly row: string;
  readonly what: string;
  readonly against: string;
  /** The promise, such as `at least 1.8x`. */
  readonly bound: string;
  /** What was measured; undefined where the row does not tell. */
  readonly measure: (
    row: RowResult,
  ) => { readonly text: string; readonly met: boolean } | undefined;
}

const peers = "the best of crane, regctl, skopeo";
const mebi = 2 ** 20;
/** Of the memory of the smallest size, the largest may take this many times as much. */
const flatness = 1.2;

/** A target that is still to say what it measures. */
export function promise(row: string, what: string, bound: string): Omit<Target, "measure"> {
  return { id: row, row, what, against: "", bound };
}

/** The best peer takes this many times as long. */
export function faster(row: string, what: string, times: number): Target {
  return {
    ...promise(row, what, `at least ${times}x`),
    against: peers,
    measure: (result) => {
      const ours = oursIn(result);
      const ratio = ours && timesBestPeer(result, ours);
      if (ratio === undefined) return undefined;
      return { text: `${ratio.toFixed(2)}x (${bestPeer(result)?.client})`, met: ratio >= times };
    },
  };
}

/** One certain peer takes this many times as long. */
export function fasterThan(client: string, row: string, what: string, times: number): Target {
  return {
    ...promise(row, what, `at least ${times}x`),
    id: `${row} (${client})`,
    against: client,
    measure: (result) => {
      const [ours, theirs] = [
        oursIn(result),
        result.entries.find((each) => each.client === client),
      ];
      if (ours === undefined || theirs === undefined || theirs.runs.length === 0) return undefined;
      const ratio = medianSeconds(theirs) / medianSeconds(ours);
      return { text: `${ratio.toFixed(2)}x`, met: ratio >= times };
    },
  };
}

/** No more CPU seconds than the peer that is fastest. */
export function thriftier(row: string, what: string): Target {
  return {
    ...promise(row, what, "at most those of the fastest peer"),
    id: `${row}-cpu`,
    against: peers,
    measure: (result) => {
      const [ours, best] = [oursIn(result), bestPeer(result)];
      const [own, theirs] = [ours && cpuSeconds(ours), best && cpuSeconds(best)];
      if (own === undefined || theirs === undefined) return undefined;
      const text = `${own.toFixed(2)} s (${best?.client}: ${theirs.toFixed(2)} s)`;
      return { text, met: own <= theirs };
    },
  };
}

/** Moves what differs and the rest of the chunks it lies in. */
export function smallDelta(row: string, what: string): Target {
  return {
    ...promise(row, what, "at most 1.1 X and a chunk for each changed stretch"),
    measure: (result) => {
      const ours = oursIn(result);
      const moved = ours && summarizeRuns(ours, (run) => run.movedBytes);
      const changed = factOf(result, "changed-bytes");
      const runs = factOf(result, "changed-runs");
      if (moved === undefined || changed === undefined || runs === undefined) return undefined;
      const text = `moves ${formatBytes(moved.median)}, X = ${formatBytes(changed)}`;
      return { text, met: moved.median <= 1.1 * changed + runs * maxChunkBytes };
    },
  };
}

/** The largest resident set of any size. */
export function littleMemory(verb: string): Target {
  return {
    ...promise(`memory-${verb}`, `resident memory of a ${verb}, any size`, "at most 400 MiB"),
    measure: (row) => {
      const peaks = peaksOf(row);
      const text = peaks.map(({ client, peak }) => `${client}: ${toMebi(peak)}`).join(", ");
      const met = peaks.every(({ peak }) => peak <= 400 * mebi);
      return peaks.length === 0 ? undefined : { text, met };
    },
  };
}

/** The largest size takes hardly more than the smallest. */
export function flatMemory(verb: string): Target {
  return {
    ...promise(
      `memory-${verb}`,
      `growth of a ${verb}'s memory from the smallest size to the largest`,
      `at most ${flatness}x`,
    ),
    id: `memory-${verb}-flat`,
    measure: (row) => {
      const peaks = peaksOf(row);
      const [first, last] = [peaks[0]?.peak, peaks.at(-1)?.peak];
      if (first === undefined || last === undefined || peaks.length < 2) return undefined;
      return { text: `${(last / first).toFixed(2)}x`, met: last <= flatness * first };
    },
  };
}

function peaksOf({ entries }: RowResult): { client: string; peak: number }[] {
  return entries.flatMap((entry) => {
    const peak = summarizeRuns(entry, (run) => run.peakBytes)?.most;
    return peak === undefined ? [] : [{ client: entry.client, peak }];
  });
}

function cpuSeconds(entry: Entry): number | undefined {
  return summarizeRuns(entry, (run) => run.cpuSeconds)?.median;
}

/** A fact of a row, by its id. */
export function factOf({ facts }: RowResult, id: string): number | undefined {
  return facts.find((fact) => fact.id === id)?.value;
}

function toMebi(bytes: number): string {
  return `${Math.round(bytes / mebi)} MiB`;
}
