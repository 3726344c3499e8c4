import { describeFault, type Log } from "../core/log.ts";
import { pause } from "../core/pause.ts";
import { scrub } from "../model/scrub.ts";
import type { Store } from "../store/store.ts";

export interface ScrubbingOptions {
  readonly store: Store;
  /** Zero is none. */
  readonly bytesPerSecond: () => number;
  readonly log: Log;
  /** Hears how many files had rotted. */
  readonly onRotten: (files: number) => void;
  readonly signal: AbortSignal;
}

/** A node that has just started has other things to read (ten minutes). */
const firstPauseMs = 600_000;
/** Between the end of one scrub and the next (a day). */
const pauseMs = 86_400_000;

/** Re-reads a store's files again and again, slowly, until aborted. Never rejects. */
export async function scrubForever(options: ScrubbingOptions): Promise<void> {
  const { store, bytesPerSecond, log, onRotten, signal } = options;
  const pace = (bytes: number) => pause((1000 * bytes) / Math.max(1, bytesPerSecond()), signal);
  for (await pause(firstPauseMs, signal); !signal.aborted; await pause(pauseMs, signal)) {
    if (bytesPerSecond() === 0) continue;
    try {
      const { files, bytes, problems } = await scrub(store, { signal, pace });
      if (problems.length > 0) onRotten(problems.length);
      log("scrubbed", { files, bytes, problems });
    } catch (error) {
      if (!signal.aborted) log("scrub failed", { error: describeFault(error) });
    }
  }
}
