/** Grows from one failure to the next. */
export interface Backoff {
  /** How long to wait now. */
  failed(): number;
  succeeded(): void;
}

/** Begins at `firstMs`; a part of each wait is random, so that a thousand nodes do not come at once. */
export function createBackoff(firstMs: number, longestMs: number = 30 * firstMs): Backoff {
  let nextMs = firstMs;
  return {
    failed: () => {
      const ms = nextMs * (0.5 + Math.random());
      nextMs = Math.min(2 * nextMs, longestMs);
      return ms;
    },
    succeeded: () => {
      nextMs = firstMs;
    },
  };
}
