import { createBackoff } from "../backoff.ts";
import { createBell } from "../bell.ts";

/** Keeps something of the cluster as it should be: looks again whenever something may have changed. */
export interface Keeper extends AsyncDisposable {
  /** Has it done anew soon, once however often this is called before that. */
  look(): void;
}

export interface KeeperTurn {
  /** After a failure nothing is to be written before this, by `performance.now()`. */
  readonly retryAt: number;
  readonly signal: AbortSignal;
}

export interface KeeperOptions {
  /** Does what is due; resolves to how long to wait before the next look, in milliseconds. */
  readonly settle: (turn: KeeperTurn) => Promise<number>;
  /** Told of each failure; the work is done again after a pause that grows. */
  readonly onFailure: (error: unknown) => void;
  /** After a first failure. */
  readonly retryMs: number;
}

/** Starts it, with a first look. */
export function startKeeper({ settle, onFailure, retryMs }: KeeperOptions): Keeper {
  const stop = new AbortController();
  const { signal } = stop;
  const bell = createBell();
  const backoff = createBackoff(retryMs);
  let retryAt = Number.NEGATIVE_INFINITY;

  async function run(): Promise<void> {
    for (let waitMs = 0; !signal.aborted; ) {
      await bell.heard(waitMs, signal);
      if (signal.aborted) return;
      try {
        waitMs = await settle({ retryAt, signal });
        backoff.succeeded();
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error);
        waitMs = backoff.failed();
        retryAt = performance.now() + waitMs;
      }
    }
  }

  const running = run();
  return {
    look: () => bell.ring(),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}
