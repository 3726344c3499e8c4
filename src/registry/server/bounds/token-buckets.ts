/** Entries kept at most; above it those that rested longest are forgotten, and are full again. */
const maxEntries = 10_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** One bucket of tokens for each key: it fills at a steady rate, and each use takes one. */
export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>();
  readonly #perSecond: number;
  readonly #most: number;
  readonly #now: () => number;

  /** `most` is what a bucket holds when it is full. */
  constructor(perSecond: number, most: number, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#most = Math.max(1, most);
    this.#now = now;
  }

  /** Takes a token; resolves to 0, or to the seconds until there is one. */
  take(key: string): number {
    const bucket = this.#fill(key);
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.#perSecond;
    bucket.tokens -= 1;
    return 0;
  }

  /** The seconds until there is a token; 0 when there is one. Takes none. */
  wait(key: string): number {
    if (!this.#buckets.has(key)) return 0;
    const { tokens } = this.#fill(key);
    return tokens < 1 ? (1 - tokens) / this.#perSecond : 0;
  }

  #fill(key: string): Bucket {
    const now = this.#now();
    const known = this.#buckets.get(key);
    const gained = known === undefined ? 0 : ((now - known.at) / 1000) * this.#perSecond;
    const bucket = {
      tokens: known === undefined ? this.#most : Math.min(this.#most, known.tokens + gained),
      at: now,
    };
    // The order of the map is that of the last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > maxEntries) this.#forgetOldest();
    return bucket;
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
