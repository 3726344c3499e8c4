import { setTimeout as sleep } from "node:timers/promises";

/** Resolves after a time or when aborted, whichever comes first; keeps no process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}
