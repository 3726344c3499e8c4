import { type MessagePort, Worker } from "node:worker_threads";
import { type ErrorCode, ModelError } from "./errors.ts";

/** How a failure crosses a thread: error objects lose their class on the way. */
interface ThreadFailure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly hint: string | undefined;
}

type Reply<Answer, Note> =
  | { readonly note: Note }
  | { readonly answer: Answer }
  | { readonly failure: ThreadFailure };

/** A thread that answers questions one after the other, in the order they were asked. */
export interface WorkerThread<Question, Answer, Note = never> extends AsyncDisposable {
  /** Questions asked and not yet answered. */
  readonly pending: number;
  /**
   * Rejects with what the thread threw, or with CANCELLED when the thread is disposed of first.
   * `onNote` hears what the thread tells before its answer.
   */
  ask(question: Question, onNote?: (note: Note) => void): Promise<Answer>;
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
  const waiting: Waiting<Answer, Note>[] = [];
  let ended: Error | undefined;
  worker.unref();

  worker.on("message", (reply: Reply<Answer, Note>) => {
    if ("note" in reply) return waiting[0]?.onNote?.(reply.note);
    const asked = waiting.shift();
    if (waiting.length === 0) worker.unref();
    if ("answer" in reply) return asked?.resolve(reply.answer);
    return asked?.reject(reviveFailure(reply.failure));
  });
  worker.on("error", (cause) => end(new Error(`the thread of ${url.pathname} failed`, { cause })));
  worker.on("exit", () => end(new ModelError("CANCELLED", "the thread was stopped")));

  function end(error: Error): void {
    ended ??= error;
    for (const { reject } of waiting.splice(0)) reject(ended);
  }

  return {
    get pending() {
      return waiting.length;
    },
    ask(question, onNote) {
      if (ended !== undefined) return Promise.reject(ended);
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      waiting.push({ resolve, reject, onNote });
      worker.ref();
      worker.postMessage(question);
      return promise;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

/** The other end: answers each question that arrives at `port` with what `answer` returns. */
export function answerQuestions<Question, Answer, Note = never>(
  port: MessagePort | null,
  answer: (question: Question, tell: (note: Note) => void) => Answer | Promise<Answer>,
): void {
  if (port === null) throw new Error("this file runs in a worker thread only");
  const send = (reply: Reply<Answer, Note>) => port.postMessage(reply);
  const reply = async (question: Question) => {
    try {
      send({ answer: await answer(question, (note) => send({ note })) });
    } catch (error) {
      send({ failure: describeFailure(error) });
    }
  };
  let last = Promise.resolve();
  port.on("message", (question: Question) => {
    last = last.then(() => reply(question));
  });
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
