import { pause } from "../core/pause.ts";

/** Wakes one loop, which then looks at everything anew. */
export interface Bell {
  ring(): void;
  /** Resolves once it has rung since it was heard last, after `ms`, or when aborted. */
  heard(ms: number, signal: AbortSignal): Promise<void>;
}

/** What a timer can do (24.8 days). */
const longestMs = 2_147_483_647;

/** Creates one that has not rung. */
export function createBell(): Bell {
  let rung = Promise.withResolvers<void>();
  return {
    ring: () => rung.resolve(),
    heard: async (ms, signal) => {
      const waited = new AbortController();
      const both = AbortSignal.any([signal, waited.signal]);
      await Promise.race([rung.promise, pause(Math.min(Math.max(ms, 0), longestMs), both)]);
      waited.abort();
      rung = Promise.withResolvers();
    },
  };
}
