import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { removeFolder } from "../remove-folder.ts";
import type { Entry, Run } from "../results.ts";
import type { Attempt, Contestant } from "./contestant.ts";
import { measureProcess } from "./measured-process.ts";

export interface RoundOptions {
  readonly rounds: number;
  /** Rounds before them that do not count. */
  readonly warmups: number;
  /** Where each run gets an empty folder. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Told of each run. */
  readonly onRun?: ((client: string, run: Run, counts: boolean) => void) | undefined;
}

/**
 * Runs all contestants once a round, each time another one first, each with fresh state. What the
 * first run of each leaves is verified. Rejects with the first failure.
 */
export async function runRounds(
  contestants: readonly Contestant[],
  options: RoundOptions,
): Promise<Entry[]> {
  const runs = new Map<Contestant, Run[]>(contestants.map((each) => [each, []]));
  for (let round = 0; round < options.warmups + options.rounds; round += 1)
    for (const contestant of rotate(contestants, round)) {
      const run = await runOnce(contestant, { ...options, verify: round === 0 });
      const counts = round >= options.warmups;
      options.onRun?.(contestant.client, run, counts);
      if (counts) runs.get(contestant)?.push(run);
    }
  return contestants.map((contestant) => {
    const { client, role } = contestant;
    return { client, role, runs: runs.get(contestant) ?? [] };
  });
}

/** The items, starting with another one each time. */
export function rotate<T>(items: readonly T[], turn: number): T[] {
  const start = items.length === 0 ? 0 : turn % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

async function runOnce(
  contestant: Contestant,
  options: RoundOptions & { readonly verify: boolean },
): Promise<Run> {
  const { signal } = options;
  signal.throwIfAborted();
  const folder = join(options.folder, "attempt");
  await removeFolder(folder);
  await mkdir(join(folder, "state"), { recursive: true });
  try {
    const attempt = await contestant.prepare(join(folder, "state"));
    try {
      return await measureAttempt(attempt, { ...options, folder });
    } finally {
      await attempt[Symbol.asyncDispose]?.();
    }
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${contestant.client}: ${message}`, { cause: error });
  } finally {
    await removeFolder(folder);
  }
}

async function measureAttempt(
  attempt: Attempt,
  { folder, signal, verify }: RoundOptions & { readonly verify: boolean },
): Promise<Run> {
  const { command, servers, counted } = attempt;
  const mark = await counted?.log.mark();
  const busy = () => servers.reduce((sum, server) => sum + server.cpuSeconds(), 0);
  const before = busy();
  const { output, seconds, cpuSeconds, peakBytes } = await measureProcess(command, folder, signal);
  const serverSeconds = busy() - before;
  const traffic = mark === undefined ? {} : await counted?.log.since(mark);
  const run = { seconds, cpuSeconds, peakBytes, serverSeconds, ...traffic };
  if (verify) await attempt.verify(output);
  return (await attempt.finish?.(run)) ?? run;
}
