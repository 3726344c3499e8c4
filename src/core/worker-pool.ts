import { availableParallelism } from "node:os";
import { checkCount } from "./count.ts";
import { ModelError } from "./errors.ts";
import { startWorkerThread, type WorkerThread } from "./worker-thread.ts";

/** Threads that take questions from one queue, one each at a time. */
export interface WorkerPool<Question, Answer, Note = never> extends AsyncDisposable {
  /** Like a thread's `ask`. Questions start in the order asked; an `urgent` one goes before them. */
  ask(
    question: Question,
    options?: {
      readonly urgent?: boolean | undefined;
      readonly onNote?: ((note: Note) => void) | undefined;
    },
  ): Promise<Answer>;
}

/** Checks a number of threads from a caller; one per core without it. */
export function threadCount(threads: number = availableParallelism()): number {
  return checkCount("threads", threads);
}

/**
 * Creates a pool of up to `threads` threads that run the worker file at `url`; each starts when
 * there is work for it. Disposing stops them all; what was asked rejects with CANCELLED.
 */
export function createWorkerPool<Question, Answer, Note = never>(
  url: URL,
  threads: number,
): WorkerPool<Question, Answer, Note> {
  type Thread = WorkerThread<Question, Answer, Note>;
  const started: Thread[] = [];
  const idle: Thread[] = [];
  const queue: ((thread: Thread | undefined) => void)[] = [];
  let stopped = false;

  function nextThread(): Thread | undefined {
    if (idle.length > 0 || started.length === threads) return idle.pop();
    const thread: Thread = startWorkerThread(url);
    started.push(thread);
    return thread;
  }

  function give(thread: Thread): void {
    const taker = queue.shift();
    if (taker === undefined) idle.push(thread);
    else taker(thread);
  }

  async function take(urgent: boolean): Promise<Thread> {
    const free = stopped ? undefined : nextThread();
    if (free !== undefined) return free;
    const { promise, resolve } = Promise.withResolvers<Thread | undefined>();
    if (stopped) resolve(undefined);
    else if (urgent) queue.unshift(resolve);
    else queue.push(resolve);
    const thread = await promise;
    if (thread === undefined) throw new ModelError("CANCELLED", "the threads were stopped");
    return thread;
  }

  return {
    async ask(question, { urgent = false, onNote } = {}) {
      const thread = await take(urgent);
      try {
        return await thread.ask(question, { onNote });
      } finally {
        give(thread);
      }
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      for (const taker of queue.splice(0)) taker(undefined);
      await Promise.all(started.map((thread) => thread[Symbol.asyncDispose]()));
    },
  };
}
