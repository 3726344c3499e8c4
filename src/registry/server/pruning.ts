import { type PruneResult, pruneRepositories } from "./prune.ts";
import type { Repositories } from "./repositories.ts";

/** What a registry tells its operator of one collection by itself. */
export type PruneReport = PruneResult | { readonly failure: Error };

export interface PruningOptions {
  readonly everyMs: number;
  readonly graceMs?: number | undefined;
  /** Called after each collection. Must not throw. */
  readonly onPrune?: ((report: PruneReport) => void) | undefined;
}

/** Collects garbage now and then, one collection at a time, until it is disposed. */
export function startPruning(repositories: Repositories, options: PruningOptions): AsyncDisposable {
  const { everyMs, graceMs, onPrune } = options;
  const stop = new AbortController();
  const { signal } = stop;
  let running: Promise<void> | undefined;

  const prune = async (): Promise<PruneReport> => {
    try {
      const names = await Array.fromAsync(repositories.names());
      return await pruneRepositories(names, (name) => repositories.find(name), { graceMs, signal });
    } catch (error) {
      return { failure: error instanceof Error ? error : new Error(String(error)) };
    }
  };
  const run = async () => {
    const report = await prune();
    if (!signal.aborted) onPrune?.(report);
    running = undefined;
  };
  const timer = setInterval(() => void (running ??= run()), everyMs).unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      stop.abort();
      await running;
    },
  };
}
