import { openLanes } from "../core/concurrently.ts";

/** How often it is asked whether there is time for more, in milliseconds. */
const intervalMs = 25;

export interface RampOptions {
  /** How many items to work on at first. */
  readonly least: number;
  /** How many at most. */
  readonly most: number;
  /** Whether there is time for twice as many. */
  readonly hasTime: () => boolean;
}

/** Like `forEachConcurrently`, with more and more items at once while there is time for them. */
export async function forEachRamping<T>(
  items: Iterable<T>,
  { least, most, hasTime }: RampOptions,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const lanes = openLanes(items, work);
  let count = Math.min(least, most);
  lanes.add(count);
  const timer = setInterval(() => {
    const more = hasTime() ? Math.min(count, most - count) : 0;
    lanes.add(more);
    count += more;
  }, intervalMs);
  try {
    await lanes.ended();
  } finally {
    clearInterval(timer);
  }
}
