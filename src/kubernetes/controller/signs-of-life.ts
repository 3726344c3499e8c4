import type { Lease } from "../api/objects.ts";

/** When each reporter was heard of last, by this side's clock alone: clocks of nodes do not matter. */
export interface SignsOfLife {
  /** Takes note of a Lease as it was seen (undefined: there is none). Only a change is a sign. */
  hear(node: string, lease: Lease | undefined): void;
  /**
   * Whether nothing has changed for longer than is allowed. Of a node that was never heard of, the time
   * begins with this question.
   */
  readonly isSilent: (node: string) => boolean;
  /** Begins the time of all anew: nothing could be heard. */
  restart(): void;
  forget(node: string): void;
  readonly nodes: Iterable<string>;
}

/** A Lease may ask for that much more than what all are allowed, by its duration, up to this. */
const longestMarginMs = 45_000;

interface Sign {
  readonly version: string | undefined;
  readonly at: number;
  readonly marginMs: number;
}

/** `staleMs` is what all are allowed; `now` is a clock in milliseconds that nobody sets. */
export function createSignsOfLife(staleMs: number, now: () => number): SignsOfLife {
  const signs = new Map<string, Sign>();

  function hear(node: string, lease: Lease | undefined): void {
    const version = lease?.metadata.resourceVersion;
    const known = signs.get(node);
    if (known !== undefined && known.version === version) return;
    const durationMs = (lease?.spec?.leaseDurationSeconds ?? 0) * 1000;
    const marginMs = Math.min(Math.max(durationMs, 0), longestMarginMs);
    signs.set(node, { version, at: now(), marginMs });
  }

  return {
    hear,
    isSilent: (node) => {
      const sign = signs.get(node);
      if (sign === undefined) hear(node, undefined);
      else return now() - sign.at > staleMs + sign.marginMs;
      return false;
    },
    restart: () => {
      for (const [node, sign] of signs) signs.set(node, { ...sign, at: now() });
    },
    forget: (node) => {
      signs.delete(node);
    },
    get nodes() {
      return signs.keys();
    },
  };
}
