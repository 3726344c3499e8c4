import { RequestFailure } from "./request-failure.ts";

/** When a request that failed for a moment is sent again. */
export interface RetryOptions {
  /** How often a request is sent at most. Default 5. */
  readonly attempts?: number | undefined;
  /** The first wait, doubled each time and shortened by up to half at random. Default 500. */
  readonly baseDelayMs?: number | undefined;
  /** The longest wait of our own choice. Default 10000. */
  readonly maxDelayMs?: number | undefined;
  /** How much of a Retry-After is obeyed; a longer one is cut to it. Default 60000. */
  readonly maxRetryAfterMs?: number | undefined;
}

/** The waits of one operation. */
export interface Backoff {
  /** Waits before the next attempt; rejects with `error` when it lasts or the attempts are used up. */
  failed(error: unknown): Promise<void>;
  /** Starts counting anew, because the last attempt got somewhere. */
  progressed(): void;
}

/** Counts one operation's attempts. Only a temporary RequestFailure earns another. */
export function createBackoff(options: RetryOptions, signal: AbortSignal | undefined): Backoff {
  const { attempts = 5, maxRetryAfterMs = 60_000 } = options;
  let failures = 0;
  return {
    async failed(error) {
      signal?.throwIfAborted();
      failures += 1;
      if (!(error instanceof RequestFailure) || !error.temporary || failures >= attempts)
        throw error;
      const asked = error.retryAfterMs;
      const delayMs =
        asked === undefined ? ownDelay(failures, options) : Math.min(asked, maxRetryAfterMs);
      await pause(delayMs, signal);
    },
    progressed() {
      failures = 0;
    },
  };
}

/** Runs `attempt` until it resolves, fails for good, or the attempts are used up. */
export async function retrying<T>(
  options: RetryOptions,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const backoff = createBackoff(options, signal);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      await backoff.failed(error);
    }
  }
}

/** Reads Retry-After: seconds or an HTTP date (RFC 9110 10.2.3); undefined when it is neither. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(text)) return Number(text) * 1000;
  const dateMs = /[a-z]{3}/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}

function ownDelay(failures: number, options: RetryOptions): number {
  const { baseDelayMs = 500, maxDelayMs = 10_000 } = options;
  const longest = Math.min(maxDelayMs, baseDelayMs * 2 ** (failures - 1));
  return longest * (0.5 + Math.random() / 2);
}

/** Waits; rejects with the signal's reason when it aborts. */
export async function pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal?.reason);
  const timer = setTimeout(resolve, delayMs);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
