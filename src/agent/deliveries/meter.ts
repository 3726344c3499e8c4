/** Measures how fast bytes arrive. */
export interface Meter {
  /** Negative ones take back what a failed attempt counted. */
  add(bytes: number): void;
  /** Over the last seconds; 0 when nothing arrived in them. */
  bytesPerSecond(): number;
}

/** Bytes are counted in slots of this length, */
const slotMs = 500;
/** and this many of them are looked at. */
const slots = 20;

/** Creates a meter that has seen nothing. `now` is in milliseconds and never goes back. */
export function createMeter(now: () => number = () => performance.now()): Meter {
  const startedAt = now();
  const counts = new Map<number, number>();
  const slotAt = (ms: number) => Math.floor((ms - startedAt) / slotMs);
  return {
    add: (bytes) => {
      const slot = slotAt(now());
      counts.set(slot, (counts.get(slot) ?? 0) + bytes);
      for (const each of counts.keys()) if (each <= slot - slots) counts.delete(each);
    },
    bytesPerSecond: () => {
      const at = now();
      const oldest = slotAt(at) - slots;
      const recent = [...counts].filter(([slot]) => slot > oldest);
      const sum = recent.reduce((total, [, bytes]) => total + bytes, 0);
      const seconds = Math.min(at - startedAt, slots * slotMs) / 1000;
      return seconds > 0 ? Math.max(0, sum / seconds) : 0;
    },
  };
}
