import { once } from "node:events";
import { redact } from "./redact.ts";
import type { Terminal } from "./terminal.ts";

/** What takes the lines of a service's log: standard error, with credentials taken out. */
export function logTo({ environment, stderr }: Terminal): (line: string) => void {
  return (line) => void stderr.write(`${redact(line, environment)}\n`);
}

/** Resolves when the program is told to end. */
export async function untilStopped({ signal }: Terminal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
