import { describeFault, type Log } from "../core/log.ts";
import type { Space } from "./space.ts";

/** Keeps a store between its watermarks. Disposing waits for what runs. */
export interface Tidying extends AsyncDisposable {
  /** To be called when bytes were written; of many calls at once the last counts. */
  soon(): void;
}

const intervalMs = 60_000;

/** Starts it: every minute, for others write to the disk too, and whenever it is asked for. */
export function startTidying(space: Space, log: Log): Tidying {
  const stop = new AbortController();
  let isAsked = false;
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (isAsked && !stop.signal.aborted) {
      isAsked = false;
      try {
        await space.tidy(stop);
      } catch (error) {
        if (!stop.signal.aborted) log("tidy failed", { error: describeFault(error) });
      }
    }
    running = undefined;
  }

  const soon = () => {
    isAsked = true;
    running ??= run();
  };
  const timer = setInterval(soon, intervalMs);
  return {
    soon,
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      stop.abort();
      await running;
    },
  };
}
