import { isModelError } from "./errors.ts";

/** Tells an operator what happened: one word, and facts. Never a credential. */
export type Log = (event: string, facts?: Readonly<Record<string, unknown>>) => void;

/** Writes a line of JSON for each event. */
export function createLog(write: (line: string) => void): Log {
  return (event, facts = {}) =>
    write(JSON.stringify({ time: new Date().toISOString(), event, ...facts }));
}

/** An error with all that is known of it, for the log only. */
export function describeFault(error: unknown): Readonly<Record<string, unknown>> {
  if (isModelError(error)) {
    const { code, message, hint = null } = error;
    return { code, message, hint };
  }
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: name, message, detail: stack ?? message };
}
