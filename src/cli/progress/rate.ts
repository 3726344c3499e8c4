/** How fast bytes move, over the last seconds. */
export interface RateMeter {
  add(bytes: number): void;
  /** Bytes per second; 0 while nothing is known. */
  perSecond(): number;
}

const windowMs = 5000;
const slotMs = 250;

/** Creates a meter; `now` returns milliseconds that never go back. */
export function createRateMeter(now: () => number): RateMeter {
  const slots: { readonly startedAt: number; bytes: number }[] = [];
  const startedAt = now();
  const forget = (time: number) => {
    while ((slots[0]?.startedAt ?? time) < time - windowMs) slots.shift();
  };
  return {
    add(bytes) {
      const time = now();
      const last = slots.at(-1);
      if (last !== undefined && time - last.startedAt < slotMs) last.bytes += bytes;
      else slots.push({ startedAt: time, bytes });
      forget(time);
    },
    perSecond() {
      const time = now();
      forget(time);
      const bytes = slots.reduce((sum, slot) => sum + slot.bytes, 0);
      const spanMs = Math.min(windowMs, time - startedAt);
      return spanMs < slotMs ? 0 : (bytes * 1000) / spanMs;
    },
  };
}
