import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { createDigestHash, type Digest } from "../core/digest.ts";
import { describeSystemError } from "../core/system-error.ts";
import { answerQuestions } from "../core/worker-thread.ts";
import type { FileSlice } from "./range-reader.ts";
import { createSliceWriter, type SliceWriter } from "./slice-writer.ts";

/** A slice of a file to read. */
export interface SourceSlice {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/**
 * What the main thread asks of a disk thread. A stream is `open`, any number of `block`, then `end`
 * or `abort`; the memory of a block may be reused once it is answered.
 */
export type DiskQuestion =
  | { readonly type: "open"; readonly stream: number; readonly slices: readonly FileSlice[] }
  | {
      readonly type: "block";
      readonly stream: number;
      readonly memory: SharedArrayBuffer;
      readonly length: number;
    }
  | { readonly type: "end"; readonly stream: number }
  | { readonly type: "abort"; readonly stream: number }
  | { readonly type: "hash"; readonly slices: readonly SourceSlice[] }
  | { readonly type: "copy"; readonly from: SourceSlice; readonly to: FileSlice };

/** Digests of the slices of `end`, `hash` and `copy`, and of those a `block` completed; else empty. */
export type DiskAnswer = readonly Digest[];

const blockBytes = 1_048_576;
const block = Buffer.allocUnsafeSlow(blockBytes);
const streams = new Map<number, SliceWriter>();

answerQuestions<DiskQuestion, DiskAnswer>(parentPort, (question) => {
  try {
    return answer(question);
  } catch (error) {
    if ("stream" in question) drop(question.stream);
    throw describeSystemError(error);
  }
});

function answer(question: DiskQuestion): DiskAnswer {
  switch (question.type) {
    case "open":
      streams.set(question.stream, createSliceWriter(question.slices));
      return [];
    case "block": {
      const bytes = new Uint8Array(question.memory, 0, question.length);
      return streams.get(question.stream)?.write(bytes) ?? [];
    }
    case "end": {
      const writer = streams.get(question.stream);
      streams.delete(question.stream);
      return writer?.end() ?? [];
    }
    case "abort":
      drop(question.stream);
      return [];
    case "hash":
      return question.slices.map((slice) => readSlice(slice));
    case "copy":
      return copySlice(question.from, question.to);
  }
}

function drop(stream: number): void {
  streams.get(stream)?.abort();
  streams.delete(stream);
}

/** A file that ends early gives the digest of what is there, which matches no chunk. */
function copySlice(from: SourceSlice, to: FileSlice): DiskAnswer {
  const writer = createSliceWriter([to]);
  try {
    return [readSlice(from, (bytes) => writer.write(bytes))];
  } finally {
    writer.abort();
  }
}

/** Hashes a slice; of a file that ends early, what is there, which matches no chunk. */
function readSlice(slice: SourceSlice, onBytes?: (bytes: Uint8Array) => void): Digest {
  const hash = createDigestHash();
  const fd = openSync(slice.path, "r");
  try {
    for (let done = 0; done < slice.size; ) {
      const length = Math.min(blockBytes, slice.size - done);
      const read = readSync(fd, block, 0, length, slice.offset + done);
      if (read === 0) break;
      hash.update(block.subarray(0, read));
      onBytes?.(block.subarray(0, read));
      done += read;
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest();
}
