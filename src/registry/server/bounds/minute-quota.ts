const minuteMs = 60_000;
/** Entries kept at most; the oldest is forgotten, and may start anew. */
const maxEntries = 10_000;

/** A number of operations for each key in a minute, as hosted registries count. */
export class MinuteQuota {
  readonly #most: number;
  readonly #now: () => number;
  readonly #used = new Map<string, { readonly since: number; count: number }>();

  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** Counts one; 0, or the seconds until there are some again where they are used up. */
  take(key: string): number {
    const now = this.#now();
    const known = this.#used.get(key);
    if (known === undefined || now - known.since >= minuteMs) {
      this.#used.delete(key);
      this.#used.set(key, { since: now, count: 1 });
      if (this.#used.size > maxEntries) this.#forgetOldest();
      return 0;
    }
    if (known.count >= this.#most) return (known.since + minuteMs - now) / 1000;
    known.count += 1;
    return 0;
  }

  #forgetOldest(): void {
    const [oldest] = this.#used.keys();
    if (oldest !== undefined) this.#used.delete(oldest);
  }
}
