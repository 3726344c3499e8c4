import type { ProgressEvent } from "../../core/progress.ts";
import { createRateMeter } from "./rate.ts";

/** A file of which some bytes are done and some are not. */
export interface FileTally {
  readonly path: string;
  readonly size: number;
  reused: number;
  /** Moved or checked. */
  worked: number;
  lastAt: number;
}

/** How far a push, pull or verify has come. */
export interface Tally {
  readonly activity: string;
  readonly totalBytes: number;
  /** Bytes that moved over the network, or were read and checked. */
  readonly worked: number;
  readonly reused: number;
  readonly filesDone: number;
  readonly files: number;
  /** Bytes per second of `worked`. */
  readonly rate: number;
  /** Undefined while nothing moves. */
  readonly secondsLeft: number | undefined;
  /** Files begun and not finished, the ones that moved last first. */
  busiest(count: number): FileTally[];
}

export interface TallyKeeper {
  /** Undefined before the `start` event. */
  current(): Tally | undefined;
  count(event: ProgressEvent): void;
}

/** Creates what adds progress events up. `now` returns milliseconds that never go back. */
export function createTally(now: () => number): TallyKeeper {
  let running: ReturnType<typeof startTally> | undefined;
  return {
    current: () => running?.read(),
    count(event) {
      if (event.type === "start") running = startTally(event, now);
      else if (event.type === "bytes") running?.add(event);
    },
  };
}

function startTally(
  { activity, totalBytes, files }: Extract<ProgressEvent, { type: "start" }>,
  now: () => number,
) {
  const open = new Map<string, FileTally>();
  const meter = createRateMeter(now);
  let worked = 0;
  let reused = 0;
  let filesDone = 0;

  const add = (event: Extract<ProgressEvent, { type: "bytes" }>) => {
    const { path, fileSize: size, bytes, how } = event;
    const file = open.get(path) ?? { path, size, reused: 0, worked: 0, lastAt: 0 };
    file.lastAt = now();
    if (how === "reused") {
      file.reused += bytes;
      reused += bytes;
    } else {
      file.worked += bytes;
      worked += bytes;
      meter.add(bytes);
    }
    if (file.reused + file.worked < size) open.set(path, file);
    else {
      open.delete(path);
      filesDone = Math.min(files, filesDone + 1);
    }
  };

  const read = (): Tally => {
    const rate = meter.perSecond();
    const left = Math.max(0, totalBytes - worked - reused);
    const secondsLeft = rate > 0 ? left / rate : undefined;
    const busiest = (count: number) =>
      [...open.values()].sort((a, b) => b.lastAt - a.lastAt).slice(0, count);
    return { activity, totalBytes, worked, reused, filesDone, files, rate, secondsLeft, busiest };
  };

  return { add, read };
}
