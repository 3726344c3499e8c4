import { readFile } from "node:fs/promises";

/** The resident set of a process. */
export interface ResidentMemory {
  readonly bytes: number;
  /** The largest since its start. */
  readonly peakBytes: number;
}

/** Reads it from /proc. Rejects when the process is gone. */
export async function readResidentMemory(pid: number): Promise<ResidentMemory> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    if (found === undefined) throw new Error(`process ${pid} has no ${name}`);
    return Number(found) * 1024;
  };
  return { bytes: field("VmRSS"), peakBytes: field("VmHWM") };
}
