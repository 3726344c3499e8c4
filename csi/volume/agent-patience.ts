import { setTimeout as delay } from "node:timers/promises";
import { isModelError } from "../../src/core/errors.ts";

export interface PatienceOptions {
  readonly signal: AbortSignal;
  /** How long the agent may be away, counted anew whenever it was there. */
  readonly agentMs: number;
  readonly retryMs: number;
}

/**
 * Does `work`, again while the agent does not answer. Rejects with AGENT_UNAVAILABLE when it was away
 * for too long, with the signal's reason, or with any other failure of `work` at once. `work` calls
 * `contact` when the agent was there.
 */
export async function withPatience<T>(
  work: (contact: () => void) => Promise<T>,
  { signal, agentMs, retryMs }: PatienceOptions,
): Promise<T> {
  let seen = performance.now();
  const contact = () => {
    seen = performance.now();
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work(contact);
    } catch (error) {
      signal.throwIfAborted();
      const away = performance.now() - seen;
      if (!isModelError(error, "AGENT_UNAVAILABLE") || away >= agentMs) throw error;
      await pause(Math.min(retryMs, agentMs - away), signal);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}
