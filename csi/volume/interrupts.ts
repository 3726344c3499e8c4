import { ModelError } from "../../src/core/errors.ts";

/** Lets an unpublish end the publish calls that wait for the same target. */
export interface Interrupts {
  /** A signal for one waiting call, until it is disposed. */
  begin(key: string): Disposable & { readonly signal: AbortSignal };
  /** Aborts all of that key with CANCELLED. */
  interrupt(key: string): void;
}

export function createInterrupts(): Interrupts {
  const waiting = new Map<string, Set<AbortController>>();
  return {
    begin(key) {
      const controller = new AbortController();
      const those = waiting.get(key) ?? new Set();
      waiting.set(key, those.add(controller));
      const end = () => {
        those.delete(controller);
        if (those.size === 0 && waiting.get(key) === those) waiting.delete(key);
      };
      return { signal: controller.signal, [Symbol.dispose]: end };
    },
    interrupt(key) {
      const reason = new ModelError("CANCELLED", "the volume is being unpublished");
      for (const controller of waiting.get(key) ?? []) controller.abort(reason);
    },
  };
}
