import { isModelError } from "../../src/core/errors.ts";
import { describeForLog } from "../log.ts";
import type { VolumeContext } from "./context.ts";
import type { Upkeep } from "./upkeep.ts";

/** Does the upkeep again and again, one round at a time, until it is disposed. */
export interface UpkeepLoop extends AsyncDisposable {
  /** Asks for a round soon: something was left undone. */
  poke(): void;
}

/**
 * Starts with a comparison at once. While the agent is away, or a release is not acknowledged, rounds
 * follow each other quickly, so that both are made up for when it is back.
 */
export function startUpkeepLoop(upkeep: Upkeep, { patience, log }: VolumeContext): UpkeepLoop {
  const stop = new AbortController();
  let wake = (): void => undefined;
  let poked = false;
  let dueAt = performance.now();

  const round = async (): Promise<boolean> => {
    const settled = await upkeep.retryReleases();
    if (performance.now() < dueAt) return settled;
    await upkeep.reconcile();
    dueAt = performance.now() + patience.reconcileMs;
    return settled;
  };
  const loop = async () => {
    while (!stop.signal.aborted) {
      poked = false;
      const settled = await round().catch((error: unknown) => {
        // An agent that is away is no news: it is asked again in a moment.
        if (!isModelError(error, "AGENT_UNAVAILABLE"))
          log("upkeep-failed", { why: describeForLog(error) });
        return false;
      });
      await pause(settled && !poked ? Math.max(0, dueAt - performance.now()) : patience.retryMs);
    }
  };
  const ended = loop();

  async function pause(ms: number): Promise<void> {
    if (stop.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const timer = setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
  }

  return {
    poke() {
      // A pause that has begun is cut short; a round under way is followed by another soon.
      poked = true;
      wake();
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      wake();
      await ended;
    },
  };
}
