import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Gives memory back once nothing has been brought for a while. Disposing stops it. */
export interface Rest extends Disposable {
  /** To be called when a delivery ends. */
  disturb(): void;
}

export interface RestOptions {
  /** Whether nothing is being brought. */
  readonly isIdle: () => boolean;
  /** Default: a full collection. */
  readonly collect?: (() => void) | undefined;
}

/** Longer than threads are kept that have nothing to do. */
const quietMs = 15_000;

/**
 * Waits for quiet, then collects once. V8 does so when new work needs the room, which on an idle node
 * may be never: a pull of 8 GiB leaves 10 to 15 MiB that nothing uses.
 */
export function createRest({ isIdle, collect = collectAll }: RestOptions): Rest {
  let timer: NodeJS.Timeout | undefined;
  return {
    disturb: () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (isIdle()) collect();
      }, quietMs);
      timer.unref();
    },
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** What `node --expose-gc` calls `gc`, without the flag at the start. */
function collectAll(): void {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (options: object) => void;
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
}
