/** How often it is asked whether there is time for more, in milliseconds. */
const intervalMs = 25;

export interface RampOptions {
  /** The count to begin with. */
  readonly least: number;
  /** Whether there is time for twice as many. */
  readonly hasTime: () => boolean;
  /** Hears each new count. */
  readonly onCount: (count: number) => void;
}

/** A count of things at once that grows while there is time for more of them. */
export interface Ramp {
  readonly count: number;
  /** Grows until this is disposed of; when nobody climbs any more the count is the least again. */
  climb(): Disposable;
}

/** Creates a ramp that nobody climbs. */
export function createRamp({ least, hasTime, onCount }: RampOptions): Ramp {
  let count = least;
  let climbing = 0;
  let timer: NodeJS.Timeout | undefined;

  function change(next: number): void {
    if (next === count) return;
    count = next;
    onCount(count);
  }

  return {
    get count() {
      return count;
    },
    climb: () => {
      climbing += 1;
      timer ??= setInterval(() => hasTime() && change(2 * count), intervalMs);
      return {
        [Symbol.dispose]: () => {
          climbing -= 1;
          if (climbing > 0) return;
          clearInterval(timer);
          timer = undefined;
          change(least);
        },
      };
    },
  };
}
