import { readFileSync } from "node:fs";
import type { RequestLog } from "./request-log.ts";

/** A server that clients are measured against. */
export interface RunningServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** PEM file of the authority to trust; undefined for plain HTTP. */
  readonly authorityFile: string | undefined;
  readonly log: RequestLog;
  /** CPU seconds it used so far. */
  cpuSeconds(): number;
}

/** Kernel ticks a second in /proc; fixed by Linux's interface to programs. */
const ticks = 100;

/** CPU seconds that processes used so far, threads included. */
export function cpuSecondsOf(pids: readonly number[]): number {
  const used = pids.map((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticks;
  });
  return used.reduce((sum, seconds) => sum + seconds, 0);
}
