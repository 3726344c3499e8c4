import type { EventLoopUtilization } from "node:perf_hooks";
import { type MessagePort, Worker } from "node:worker_threads";
import { type ErrorCode, ModelError } from "./errors.ts";

/** How a failure crosses a thread: error objects lose their class on the way. */
interface ThreadFailure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly hint: string | undefined;
}

/** What crosses to a thread: a question and the number its replies carry. */
interface Asked<Question> {
  readonly number: number;
  readonly question: Question;
}

type Reply<Answer, Note> = { readonly number: number } & (
  | { readonly note: Note }
  | { readonly answer: Answer }
  | { readonly failure: ThreadFailure }
);

/** A thread that answers questions; it takes them up in the order they were asked. */
export interface WorkerThread<Question, Answer, Note = never> extends AsyncDisposable {
  /** Questions asked and not yet answered. */
  readonly pending: number;
  /**
   * The share of the time since the last call in which the thread had nothing to do. While it starts
   * it has enough to do.
   */
  idleShare(): number;
  /**
   * Rejects with what the thread threw, or with CANCELLED when the thread is disposed of first.
   * `onNote` hears what the thread tells before its answer; the thread keeps the memory that it is
   * given by `transfer`.
   */
  ask(question: Question, options?: AskOptions<Note>): Promise<Answer>;
}

export interface AskOptions<Note = never> {
  readonly onNote?: ((note: Note) => void) | undefined;
  readonly transfer?: readonly ArrayBuffer[] | undefined;
}

interface Waiting<Answer, Note> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly onNote: ((note: Note) => void) | undefined;
}

/**
 * Starts a thread whose file calls `answerQuestions`. It keeps the process alive only while a
 * question is open. Disposing stops it at once and closes the files it holds.
 */
export function startWorkerThread<Question, Answer, Note = never>(
  url: URL,
): WorkerThread<Question, Answer, Note> {
  // Flags such as --input-type, of a program given with --eval, would keep the file from loading.
  const worker = new Worker(url, { execArgv: [] });
  const waiting = new Map<number, Waiting<Answer, Note>>();
  let asked = 0;
  let looked: EventLoopUtilization | undefined;
  let ended: Error | undefined;
  worker.unref();

  worker.on("message", (reply: Reply<Answer, Note>) => {
    const asker = waiting.get(reply.number);
    if ("note" in reply) return asker?.onNote?.(reply.note);
    waiting.delete(reply.number);
    if (waiting.size === 0) worker.unref();
    if ("answer" in reply) return asker?.resolve(reply.answer);
    return asker?.reject(reviveFailure(reply.failure));
  });
  worker.on("error", (cause) => end(new Error(`the thread of ${codeName(url)} failed`, { cause })));
  worker.on("exit", () => end(new ModelError("CANCELLED", "the thread was stopped")));

  function end(error: Error): void {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  }

  return {
    get pending() {
      return waiting.size;
    },
    idleShare() {
      const now = worker.performance.eventLoopUtilization();
      const { idle, active } = worker.performance.eventLoopUtilization(now, looked);
      looked = now;
      return idle === 0 ? 0 : idle / (idle + active);
    },
    ask(question, { onNote, transfer = [] } = {}) {
      if (ended !== undefined) return Promise.reject(ended);
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const number = ++asked;
      waiting.set(number, { resolve, reject, onNote });
      worker.ref();
      worker.postMessage({ number, question } satisfies Asked<Question>, transfer);
      return promise;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

/** A data URL is all of the code. */
function codeName(url: URL): string {
  return url.protocol === "file:" ? url.pathname : `a ${url.protocol} URL`;
}

/**
 * The other end: answers each question that arrives at `port` with what `answer` returns. Questions
 * whose answer takes time do not hold up those behind them.
 */
export function answerQuestions<Question, Answer, Note = never>(
  port: MessagePort | null,
  answer: (question: Question, tell: (note: Note) => void) => Answer | Promise<Answer>,
): void {
  if (port === null) throw new Error("this file runs in a worker thread only");
  const send = (reply: Reply<Answer, Note>) => port.postMessage(reply);
  const reply = async ({ number, question }: Asked<Question>) => {
    try {
      send({ number, answer: await answer(question, (note) => send({ number, note })) });
    } catch (error) {
      send({ number, failure: describeFailure(error) });
    }
  };
  port.on("message", (asked: Asked<Question>) => void reply(asked));
}

function describeFailure(error: unknown): ThreadFailure {
  if (error instanceof ModelError)
    return { code: error.code, message: error.message, hint: error.hint };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: undefined, message, hint: undefined };
}

function reviveFailure({ code, message, hint }: ThreadFailure): Error {
  return code === undefined ? new Error(message) : new ModelError(code, message, { hint });
}
