import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { createDigestHash, type Digest } from "../core/digest.ts";
import { describeSystemError, isFullDisk } from "../core/system-error.ts";
import { answerQuestions } from "../core/worker-thread.ts";
import type { FileSlice } from "./range-reader.ts";
import { createSliceWriter, type SliceWriter } from "./slice-writer.ts";
import { createRangeFetcher, type RangeFetch, type RunningFetch } from "./socket/range-fetcher.ts";

/** A slice of a file to read. */
export interface SourceSlice {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/**
 * What the main thread asks of a disk thread. A stream is `open`, any number of `fetch` and `block`,
 * one after the other, then `end` or `abort`; the memory of a block may be reused once it is answered.
 */
export type DiskQuestion =
  | { readonly type: "open"; readonly stream: number; readonly slices: readonly FileSlice[] }
  | {
      readonly type: "block";
      readonly stream: number;
      readonly memory: SharedArrayBuffer;
      readonly length: number;
    }
  | { readonly type: "fetch"; readonly stream: number; readonly wanted: RangeFetch }
  | { readonly type: "end"; readonly stream: number }
  | { readonly type: "abort"; readonly stream: number }
  | { readonly type: "hash"; readonly slices: readonly SourceSlice[] }
  | { readonly type: "copy"; readonly from: SourceSlice; readonly to: FileSlice };

/** What a `fetch` tells on the way: bytes that came and the digests of the slices they completed. */
export interface FetchNote {
  readonly bytes: number;
  readonly digests: readonly Digest[];
}

/** Digests of the slices of `end`, `hash` and `copy`, and of those a `block` completed; else empty. */
export type DiskAnswer = readonly Digest[];

const blockBytes = 1_048_576;
const block = Buffer.allocUnsafeSlow(blockBytes);
/** A stream that was opened and not ended. */
interface OpenStream {
  readonly slices: readonly FileSlice[];
  readonly writer: SliceWriter;
  fetching: RunningFetch | undefined;
}

const streams = new Map<number, OpenStream>();
const fetcher = createRangeFetcher();
/** Fetched bytes are told when there are this many (4 MiB) or now and then, */
const toldBytes = 4_194_304;
/** in milliseconds, or when they complete a slice. */
const toldMs = 100;

answerQuestions<DiskQuestion, DiskAnswer, FetchNote>(parentPort, async (question, tell) => {
  try {
    return question.type === "fetch" ? await fetchInto(question, tell) : answer(question);
  } catch (error) {
    // Of a full disk the caller knows the place by its user's name.
    const places = isFullDisk(error) ? [] : placesOf(question);
    if ("stream" in question) drop(question.stream);
    throw describeSystemError(error, places);
  }
});

function answer(question: Exclude<DiskQuestion, { type: "fetch" }>): DiskAnswer {
  switch (question.type) {
    case "open":
      openStream(question.stream, question.slices);
      return [];
    case "block": {
      const bytes = new Uint8Array(question.memory, 0, question.length);
      return streams.get(question.stream)?.writer.write(bytes) ?? [];
    }
    case "end": {
      const stream = streams.get(question.stream);
      streams.delete(question.stream);
      return stream?.writer.end() ?? [];
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

function openStream(stream: number, slices: readonly FileSlice[]): void {
  streams.set(stream, { slices, writer: createSliceWriter(slices), fetching: undefined });
}

/** The files a question was about: write and read failures do not name theirs. */
function placesOf(question: DiskQuestion): string[] {
  if (question.type === "hash") return uniquePaths(question.slices);
  if (question.type === "copy") return uniquePaths([question.from, question.to]);
  return uniquePaths(streams.get(question.stream)?.slices ?? []);
}

function uniquePaths(slices: readonly { readonly path: string | undefined }[]): string[] {
  return [...new Set(slices.flatMap(({ path }) => path ?? []))].slice(0, 3);
}

/** Resolves when the fetch is over, however it ended: what was told is what came. */
async function fetchInto(
  question: Extract<DiskQuestion, { type: "fetch" }>,
  tell: (note: FetchNote) => void,
): Promise<DiskAnswer> {
  const stream = streams.get(question.stream);
  if (stream === undefined) return [];
  let untold = 0;
  let toldAt = performance.now();
  stream.fetching = fetcher.fetch(question.wanted, (bytes) => {
    const digests = stream.writer.write(bytes);
    untold += bytes.byteLength;
    const now = performance.now();
    if (digests.length === 0 && untold < toldBytes && now - toldAt < toldMs) return;
    toldAt = now;
    tell({ bytes: untold, digests });
    untold = 0;
  });
  await stream.fetching.ended;
  stream.fetching = undefined;
  if (untold > 0) tell({ bytes: untold, digests: [] });
  return [];
}

function drop(number: number): void {
  const stream = streams.get(number);
  streams.delete(number);
  stream?.fetching?.stop();
  stream?.writer.abort();
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
