import { isModelError } from "../core/errors.ts";
import { describeError } from "./api/error-document.ts";

/** Tells an operator what happened: one word, and facts. Never a credential. */
export type Log = (event: string, facts?: Readonly<Record<string, unknown>>) => void;

/** Writes a line of JSON for each event. */
export function createLog(write: (line: string) => void): Log {
  return (event, facts = {}) =>
    write(JSON.stringify({ time: new Date().toISOString(), event, ...facts }));
}

/** An error with all that is known of it, for the log only. */
export function describeFault(error: unknown): Readonly<Record<string, unknown>> {
  if (isModelError(error)) return { ...describeError(error) };
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { ...describeError(error), detail };
}
