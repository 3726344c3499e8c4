import { pause } from "./retry.ts";

/** What a request counts as; `free` ones only wait while a server lets nobody in. */
export type RequestKind = "read" | "write" | "free";

/** How many requests of a kind a server takes in any minute; no bound where there is none. */
interface Rates {
  readonly reads?: number | undefined;
  readonly writes?: number | undefined;
}

/** Why a request had to wait: the rate of its kind, or because the server refused one (429). */
export type WaitReason = RequestKind | "refused";

/** Lets requests to one server pass no faster than it takes them. For all who talk to it. */
export interface Pacer {
  /**
   * Resolves when a request may be sent, and counts it. `onWait` is told before a wait. Rejects with
   * the signal's reason.
   */
  turn(
    kind: RequestKind,
    options?: {
      readonly signal?: AbortSignal | undefined;
      readonly onWait?: ((reason: WaitReason, ms: number) => void) | undefined;
    },
  ): Promise<void>;
  /** The server refused one for their number: nobody sends before the time is over that it asked for. */
  refused(retryAfterMs: number | undefined): void;
  /** The server answered one as usual. */
  accepted(): void;
}

/** For tests. */
export interface Clock {
  /** Milliseconds that only grow. */
  now(): number;
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

export interface PacerOptions {
  readonly rates?: Rates | undefined;
  /** In what time so many requests are taken. Default 60000. */
  readonly windowMs?: number | undefined;
  /** The longest wait after a refusal. Default 60000. */
  readonly mostHoldMs?: number | undefined;
  /** The first wait after a refusal without Retry-After, doubled while they go on. Default 500. */
  readonly leastHoldMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Creates one that no request has passed yet. */
export function createPacer(options: PacerOptions = {}): Pacer {
  const { rates = {}, windowMs = 60_000, mostHoldMs = 60_000, leastHoldMs = 500 } = options;
  const { clock = systemClock } = options;
  const lanes = {
    read: createLane(rates.reads, windowMs),
    write: createLane(rates.writes, windowMs),
    free: createLane(undefined, windowMs),
  };
  let heldUntil = Number.NEGATIVE_INFINITY;
  let refusals = 0;
  return {
    async turn(kind, { signal, onWait } = {}) {
      const lane = lanes[kind];
      for (;;) {
        signal?.throwIfAborted();
        const now = clock.now();
        const freeAt = lane.freeAt();
        const wakeAt = Math.max(heldUntil, freeAt);
        if (wakeAt <= now) return lane.take(now);
        onWait?.(heldUntil >= freeAt ? "refused" : kind, wakeAt - now);
        await clock.sleep(wakeAt - now, signal);
      }
    },
    refused(retryAfterMs) {
      const now = clock.now();
      // Of many that were on their way at once, the first says it for all.
      if (now >= heldUntil) refusals += 1;
      const ownMs = leastHoldMs * 2 ** Math.min(10, refusals - 1);
      heldUntil = Math.max(heldUntil, now + Math.min(mostHoldMs, retryAfterMs ?? ownMs));
    },
    accepted() {
      refusals = 0;
    },
  };
}

/** When the last `most` requests of a kind were sent. */
interface Lane {
  /** From when on one more is not too many. */
  freeAt(): number;
  take(now: number): void;
}

function createLane(most: number | undefined, windowMs: number): Lane {
  if (most === undefined) return { freeAt: () => Number.NEGATIVE_INFINITY, take: () => undefined };
  const sentAt = new Float64Array(Math.max(1, most)).fill(Number.NEGATIVE_INFINITY);
  let oldest = 0;
  return {
    freeAt: () => (sentAt[oldest] ?? 0) + windowMs,
    take(now) {
      sentAt[oldest] = now;
      oldest = (oldest + 1) % sentAt.length;
    },
  };
}

const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => pause(ms, signal),
};
