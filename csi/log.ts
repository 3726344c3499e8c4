/**
 * Writes one line for operators: a name for what happened and its facts. Never a secret, a token or a
 * whole volume context.
 */
export type Log = (
  event: string,
  facts?: Readonly<Record<string, string | number | boolean | undefined>>,
) => void;

/** What to tell of an error in a log line. */
export function describeForLog(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
