import { createCondition } from "../core/condition.ts";
import type { Abortable } from "../core/progress.ts";
import { createChunkMemory, type MemoryGrant } from "./chunk-memory.ts";
import type { ReadChunk, ReadJob } from "./read-jobs.ts";

/** Jobs begun and not yet delivered; bounds what many tiny files cost beside their bytes. */
const jobsAhead = 64;

type Outcome =
  | { readonly kind: "chunks"; readonly chunks: readonly ReadChunk[] }
  | { readonly kind: "failure"; readonly error: unknown }
  | { readonly kind: "end" };

export interface ReadAheadOptions extends Abortable {
  /** Bytes of jobs begun and of chunks not released; at least what the largest job needs. */
  readonly budgetBytes: number;
}

const end: Outcome = { kind: "end" };

/**
 * Begins jobs while the consumer still works on earlier ones and yields their chunks in order.
 * Memory goes to jobs in that order too, so a consumer whose chunks leave free what the largest job
 * needs is never stuck. The first failure of a job or of `jobs` itself rejects, after the
 * chunks before it; an abort rejects with the signal's reason. However it ends, what it began has
 * ended before: the memory may be used for other things then.
 */
export async function* readAhead(
  jobs: AsyncIterable<ReadJob> | Iterable<ReadJob>,
  { budgetBytes, signal }: ReadAheadOptions,
): AsyncGenerator<ReadChunk, void, undefined> {
  const changed = createCondition();
  using memory = createChunkMemory(budgetBytes, () => changed.notify());
  const begun: Promise<Outcome>[] = [];
  let isStopping = false;

  function stop(): void {
    isStopping = true;
    changed.notify();
  }

  function grant(bytes: number): MemoryGrant | undefined {
    return begun.length < jobsAhead ? memory.grant(bytes) : undefined;
  }

  async function beginAll(): Promise<void> {
    for await (const job of jobs) {
      const granted = await changed.until(() => (isStopping ? "stopped" : grant(job.bytes)));
      if (granted === "stopped") return;
      begun.push(settle(job.read(granted)));
      changed.notify();
    }
  }

  async function beginAllThenEnd(): Promise<void> {
    const last = await beginAll().then(() => end, toFailure);
    begun.push(Promise.resolve(last));
    changed.notify();
  }

  async function next(): Promise<Outcome> {
    await changed.until(() => (begun.length > 0 ? true : undefined));
    const outcome = await begun.shift();
    changed.notify();
    signal?.throwIfAborted();
    return outcome ?? end;
  }

  signal?.throwIfAborted();
  signal?.addEventListener("abort", stop);
  const everyJob = beginAllThenEnd();
  try {
    for (let outcome = await next(); outcome.kind !== "end"; outcome = await next()) {
      if (outcome.kind === "failure") throw outcome.error;
      yield* outcome.chunks;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    stop();
    await everyJob;
    await Promise.all(begun);
  }
}

function settle(work: Promise<readonly ReadChunk[]>): Promise<Outcome> {
  return work.then((chunks) => ({ kind: "chunks", chunks }), toFailure);
}

function toFailure(error: unknown): Outcome {
  return { kind: "failure", error };
}
