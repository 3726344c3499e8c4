import { availableParallelism } from "node:os";
import type { ContentDigest, DigestAlgorithm } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import { startWorkerThread, type WorkerThread } from "../../core/worker-thread.ts";
import { workerUrl } from "../../core/worker-url.ts";
import type { DiskFailure, IngestAnswer, IngestQuestion } from "./ingest-worker.ts";

/** More would wait for the network, which one thread serves. */
const maxThreads = 4;
/** How much one blob may have on its way to a thread, */
const blobBytes = 3_145_728;
/** and all of them, beyond which each waits for every write. */
const allBytes = 67_108_864;
/** How long a thread rests before it ends. */
const restMs = 30_000;

/** Threads that hash and write large blobs. */
export interface IngestThreads extends AsyncDisposable {
  /** Has a thread go on with a file that has `size` bytes, which it reads once, for their hash. */
  open(file: {
    readonly path: string;
    readonly size: number;
    readonly algorithm: DigestAlgorithm;
  }): IngestStream;
}

/** A blob on a thread; its writes happen in the order asked. A failure of one is that of all after it. */
export interface IngestStream {
  readonly algorithm: DigestAlgorithm;
  /** Bytes that were written and hashed since it was opened. */
  readonly written: number;
  /**
   * Writes to the end of a file that is opened for appending and stays so until `flush`. Takes the
   * pieces' memory away, or leaves it to be read later. Resolves when there is room for more.
   */
  write(fd: number, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void>;
  /** Resolves, or rejects with the system's error, when no write is under way. */
  flush(): Promise<void>;
  /** The digest of everything; ends the stream. */
  digest(): Promise<ContentDigest>;
  /** Ends the stream without it. */
  forget(): Promise<void>;
}

interface Thread {
  readonly worker: WorkerThread<IngestQuestion, IngestAnswer>;
  streams: number;
  flying: number;
  resting: NodeJS.Timeout | undefined;
}

/**
 * Creates threads that start when there is work and end when they had none for a while. Disposing
 * stops them at once: nobody may be writing.
 */
export function createIngestThreads(): IngestThreads {
  const most = Math.min(availableParallelism(), maxThreads);
  const threads = new Set<Thread>();
  let streamsMade = 0;
  const flyingOfAll = () => [...threads].reduce((sum, { flying }) => sum + flying, 0);

  const end = (thread: Thread) => {
    threads.delete(thread);
    return thread.worker[Symbol.asyncDispose]();
  };

  const take = (): Thread => {
    const [freest] = [...threads].sort((a, b) => a.flying - b.flying || a.streams - b.streams);
    if (freest !== undefined && (freest.streams === 0 || threads.size === most)) return freest;
    const worker = startWorkerThread<IngestQuestion, IngestAnswer>(
      workerUrl("ingest-worker", import.meta.url),
    );
    const thread = { worker, streams: 0, flying: 0, resting: undefined };
    threads.add(thread);
    return thread;
  };

  const release = (thread: Thread) => {
    thread.streams -= 1;
    if (thread.streams > 0) return;
    thread.resting = setTimeout(() => void end(thread), restMs).unref();
  };

  return {
    open({ path, size, algorithm }) {
      const thread = take();
      thread.streams += 1;
      clearTimeout(thread.resting);
      streamsMade += 1;
      const stream = new Stream({
        thread,
        number: streamsMade,
        algorithm,
        isCrowded: () => flyingOfAll() > allBytes,
        onEnd: () => release(thread),
        onLost: () => threads.delete(thread),
      });
      stream.open(path, size);
      return stream;
    },
    async [Symbol.asyncDispose]() {
      for (const { resting } of threads) clearTimeout(resting);
      await Promise.all([...threads].map(end));
    },
  };
}

interface StreamPlace {
  readonly thread: Thread;
  readonly number: number;
  readonly algorithm: DigestAlgorithm;
  readonly isCrowded: () => boolean;
  readonly onEnd: () => void;
  /** The thread has failed. */
  readonly onLost: () => void;
}

class Stream implements IngestStream {
  readonly #place: StreamPlace;
  /** What is not answered yet, in the order asked. None rejects. */
  readonly #asked = new Set<Promise<void>>();
  #flying = 0;
  #failure: unknown;
  #ended = false;
  written = 0;

  constructor(place: StreamPlace) {
    this.#place = place;
  }

  get algorithm(): DigestAlgorithm {
    return this.#place.algorithm;
  }

  open(path: string, size: number): void {
    const { number: stream, algorithm } = this.#place;
    this.#follow(this.#ask({ type: "open", stream, algorithm, path, size }), () => undefined);
  }

  async write(fd: number, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const { thread, number: stream, isCrowded } = this.#place;
    const bytes = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#flying += bytes;
    thread.flying += bytes;
    const own = pieces.map(ownMemory);
    const asked = this.#ask(
      { type: "write", stream, fd, pieces: own },
      own.map(({ buffer }) => buffer),
    );
    const wrote = asked.then(() => {
      this.written += bytes;
    });
    this.#follow(wrote, () => {
      this.#flying -= bytes;
      thread.flying -= bytes;
    });
    while (this.#flying > (isCrowded() ? 0 : blobBytes)) await this.#asked.values().next().value;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async flush(): Promise<void> {
    await Promise.all(this.#asked);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async digest(): Promise<ContentDigest> {
    if (this.#ended) throw new TypeError("this stream has ended");
    const { digest } = await this.#end("digest");
    if (digest === undefined) throw new TypeError("the thread does not know this stream");
    return digest;
  }

  async forget(): Promise<void> {
    await Promise.all(this.#asked);
    if (!this.#ended) await this.#end("forget").catch(() => undefined);
  }

  async #end(type: "digest" | "forget"): Promise<IngestAnswer> {
    this.#ended = true;
    try {
      return await this.#ask({ type, stream: this.#place.number });
    } finally {
      this.#place.onEnd();
    }
  }

  #follow(asked: Promise<unknown>, onEnd: () => void): void {
    const fail = (error: unknown) => {
      this.#failure ??= error;
    };
    const followed = asked
      .then(() => undefined, fail)
      .finally(() => {
        onEnd();
        this.#asked.delete(followed);
      });
    this.#asked.add(followed);
  }

  async #ask(question: IngestQuestion, memory?: readonly ArrayBuffer[]): Promise<IngestAnswer> {
    const { thread, onLost } = this.#place;
    let answer: IngestAnswer;
    try {
      answer = await thread.worker.ask(question, { transfer: memory });
    } catch (cause) {
      onLost();
      if (isModelError(cause)) throw cause;
      throw new ModelError("STORE_IO", "the thread that writes blobs failed", { cause });
    }
    if (answer.failure !== undefined) throw reviveFailure(answer.failure);
    return answer;
  }
}

/** The memory of a piece that shares it with others stays with them. */
function ownMemory(piece: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return piece.byteLength === piece.buffer.byteLength ? piece : new Uint8Array(piece);
}

function reviveFailure({ code, syscall, message }: DiskFailure): Error {
  return Object.assign(new Error(message), { code, syscall });
}
