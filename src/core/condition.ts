/** Something that changes, and those who wait for it to be as they need it. */
export interface Condition {
  /** Resolves with what `probe` returns once it is not undefined; asks again after each notify. */
  until<T>(probe: () => T | undefined): Promise<T>;
  notify(): void;
}

/** Creates a condition nobody waits for. What `probe` throws rejects `until`. */
export function createCondition(): Condition {
  let change: PromiseWithResolvers<void> | undefined;
  return {
    async until(probe) {
      for (;;) {
        const found = probe();
        if (found !== undefined) return found;
        change ??= Promise.withResolvers<void>();
        await change.promise;
      }
    },
    notify() {
      change?.resolve();
      change = undefined;
    },
  };
}
