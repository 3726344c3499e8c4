import { closeSync, openSync, readSync, writevSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { ContentDigest, DigestAlgorithm } from "../../core/digest.ts";
import { systemCode } from "../../core/errors.ts";
import { answerQuestions } from "../../core/worker-thread.ts";
import { type ContentHash, createContentHash } from "./content-hash.ts";

/**
 * What the main thread asks of a writing thread. A stream is `open`, any number of `write`, one
 * after the other, then `digest` or `forget`. It is the main thread that opens and closes files.
 */
export type IngestQuestion =
  | {
      readonly type: "open";
      readonly stream: number;
      readonly algorithm: DigestAlgorithm;
      /** The file that a stream goes on with, and how much of it there is. */
      readonly path: string;
      readonly size: number;
    }
  | {
      readonly type: "write";
      readonly stream: number;
      readonly fd: number;
      readonly pieces: readonly Uint8Array<ArrayBuffer>[];
    }
  | { readonly type: "digest" | "forget"; readonly stream: number };

/** A failure of the system: an error object would lose what makes it one on the way. */
export interface DiskFailure {
  readonly code: string;
  readonly syscall: string;
  readonly message: string;
}

/** A stream that has failed answers so to all that follows, and writes nothing more. */
export type IngestAnswer = {
  readonly digest?: ContentDigest | undefined;
  readonly failure?: DiskFailure | undefined;
};

interface OpenStream {
  readonly hash: ContentHash;
  failure: DiskFailure | undefined;
}

const blockBytes = 1_048_576;
const streams = new Map<number, OpenStream>();

answerQuestions<IngestQuestion, IngestAnswer>(parentPort, (question) => {
  if (question.type === "open") {
    const hash = createContentHash(question.algorithm);
    streams.set(question.stream, { hash, failure: undefined });
  }
  const stream = streams.get(question.stream);
  if (stream === undefined) return {};
  if (question.type === "digest" || question.type === "forget") streams.delete(question.stream);
  if (stream.failure !== undefined) return { failure: stream.failure };
  try {
    return answer(question, stream.hash);
  } catch (error) {
    stream.failure = describeFailure(error);
    return { failure: stream.failure };
  }
});

function answer(question: IngestQuestion, hash: ContentHash): IngestAnswer {
  switch (question.type) {
    case "open":
      hashBeginning(question, hash);
      return {};
    case "write":
      writeAll(question.fd, question.pieces);
      for (const piece of question.pieces) {
        hash.update(piece);
        // Gives its memory back at once: a collection would come late, and cost more.
        piece.buffer.transfer(0);
      }
      return {};
    case "digest":
      return { digest: hash.digest() };
    case "forget":
      return {};
  }
}

/** A file that ends early gives a digest that matches no blob. */
function hashBeginning(
  { path, size }: { readonly path: string; readonly size: number },
  hash: ContentHash,
): void {
  const block = Buffer.allocUnsafeSlow(Math.min(size, blockBytes));
  const fd = openSync(path, "r");
  try {
    for (let done = 0; done < size; ) {
      const read = readSync(fd, block, 0, Math.min(block.byteLength, size - done), done);
      if (read === 0) return;
      hash.update(block.subarray(0, read));
      done += read;
    }
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, pieces: readonly Uint8Array[]): void {
  for (let rest = pieces; rest.length > 0; ) rest = withoutFirst(rest, writevSync(fd, rest));
}

/** What is left of `pieces` behind their first `bytes`: a disk that fills takes a part of a write. */
function withoutFirst(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skipped = 0;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    const start = Math.min(bytes - skipped, piece.byteLength);
    skipped += start;
    if (start < piece.byteLength) rest.push(piece.subarray(start));
  }
  return rest;
}

function describeFailure(error: unknown): DiskFailure {
  const code = systemCode(error);
  if (!(error instanceof Error) || code === undefined) throw error;
  return { code, syscall: String(Reflect.get(error, "syscall")), message: error.message };
}
