/** Keeps what was made last, so that it is not made again at once. */
export interface Recent<T> {
  /** What is kept under a key, else what `make` resolves to; many who ask at once share one making. */
  get(key: string, make: () => Promise<T | undefined>): Promise<T | undefined>;
}

/** Keeps things of `mostWeight` together, those asked for last; failures and undefined never. */
export function createRecent<T>(mostWeight: number, weigh: (made: T) => number): Recent<T> {
  interface Entry {
    readonly made: Promise<T | undefined>;
    weight: number;
  }
  const entries = new Map<string, Entry>();
  let total = 0;

  function drop(key: string, entry: Entry): void {
    if (entries.get(key) !== entry) return;
    entries.delete(key);
    total -= entry.weight;
  }

  /** Counts what was made, and drops those asked for longest ago, itself where it weighs too much. */
  function count(key: string, entry: Entry, made: T): void {
    if (entries.get(key) !== entry) return;
    entry.weight = weigh(made);
    total += entry.weight;
    for (const [oldest, each] of entries) {
      if (total <= mostWeight) return;
      drop(oldest, each);
    }
  }

  return {
    get: async (key, make) => {
      const known = entries.get(key);
      if (known !== undefined) {
        entries.delete(key);
        entries.set(key, known);
        return known.made;
      }
      const entry: Entry = { made: make(), weight: 0 };
      entries.set(key, entry);
      try {
        const made = await entry.made;
        if (made === undefined) drop(key, entry);
        else count(key, entry, made);
        return made;
      } catch (error) {
        drop(key, entry);
        throw error;
      }
    },
  };
}
