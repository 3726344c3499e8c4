import { closeSync, openSync, readSync } from "node:fs";
import { createDigestHash, type Digest } from "../../../src/core/digest.ts";
import { emptyConnection } from "../../../src/model/connection.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import type { Repository } from "../../../src/oci/repository.ts";
import { createBlobRangeReader } from "../../../src/transfer/blob-range-reader.ts";
import type { DiskThreads } from "../../../src/transfer/disk-threads.ts";
import type { SourceSlice } from "../../../src/transfer/disk-worker.ts";
import { forEachInTurn } from "../../../src/transfer/in-turns.ts";
import type { PresentOptions } from "../../../src/transfer/present.ts";
import type { LayerRange, RangeReader } from "../../../src/transfer/range-reader.ts";
import { createSliceWriter } from "../../../src/transfer/slice-writer.ts";
import { createTurnQueue, type Turn } from "../../../src/transfer/turn-queue.ts";
import type { Target } from "./catalogue.ts";
import { tick, ticks } from "./ticks.ts";

const pieceBytes = 2048;

/** What a piece of a layer becomes on its way; may throw. */
export type OnPiece = (piece: Buffer) => Uint8Array;

/** The documents of a model, in memory; its manifest takes so many turns. */
export function memoryRepository({ origin, model }: Target, turns: number): Repository {
  const { manifestBytes: bytes, manifest: digest, indexBytes } = model;
  const descriptor = { mediaType: mediaTypes.imageManifest, digest, size: bytes.byteLength };
  return {
    ...emptyConnection(origin.name).repository,
    fetchManifest: async () => {
      await ticks(turns);
      return { descriptor, bytes };
    },
    async *readBlob() {
      await tick();
      yield indexBytes;
    },
  };
}

/** Brings the layers of a model, a piece each turn: on `threads`, else on the thread that runs the test. */
export function memoryTransfer(
  target: Target,
  threads: DiskThreads | undefined,
  onPiece: OnPiece,
): PresentOptions["transfer"] {
  const queue = createTurnQueue({ connections: 2, connectionsPerProvider: 2 });
  const line = queue.openLine({ provider: target.origin.host, priority: () => "mount" });
  const impatient = createImpatience();
  const shared: Pick<PresentOptions["transfer"], "rangeBytes" | "forEachRange"> = {
    rangeBytes: undefined,
    forEachRange: (ranges, work, options) =>
      forEachInTurn(line, ranges, (range) => work(range, impatient()), options),
  };
  if (threads === undefined)
    return { ...shared, disk: inlineDisk, reader: inlineReader(target, onPiece) };
  const source = {
    ...emptyConnection(target.origin.name).repository,
    readBlob: (layer: Digest, { range, signal }: Parameters<Repository["readBlob"]>[1] = {}) => {
      const { offset, length } = range ?? { offset: 0, length: Infinity };
      return readPieces(target, { layer, offset, length }, (piece) => {
        signal?.throwIfAborted();
        return onPiece(piece);
      });
    },
  };
  return { ...shared, disk: threads, reader: createBlobRangeReader(source, threads) };
}

/** Gives turns that are over after every third chunk, as if others waited all the time. */
function createImpatience(): () => Turn {
  let asked = 0;
  return () => {
    let isOver = false;
    return { onCall: () => undefined, isOver: () => (isOver ||= ++asked % 3 === 0) };
  };
}

async function* readPieces(
  { model }: Target,
  { layer, offset, length }: LayerRange,
  onPiece: OnPiece,
): AsyncGenerator<Uint8Array> {
  const blob = model.layers.get(layer)?.subarray(offset, offset + length);
  if (blob === undefined) throw new Error(`no layer ${layer}`);
  for (let at = 0; at < blob.byteLength; at += pieceBytes) {
    await tick();
    yield onPiece(blob.subarray(at, at + pieceBytes));
  }
}

function inlineReader(target: Target, onPiece: OnPiece): RangeReader {
  return {
    name: target.origin.name,
    readInto: async (range, slices, { signal, onBytes, onSlices } = {}) => {
      const writer = createSliceWriter(slices);
      let written = 0;
      try {
        for await (const piece of readPieces(target, range, onPiece)) {
          signal?.throwIfAborted();
          const digests = writer.write(piece);
          onBytes?.(piece.byteLength);
          if (digests.length > 0) onSlices?.(written, digests);
          written += digests.length;
        }
        return writer.end();
      } catch (error) {
        writer.abort();
        throw error;
      }
    },
  };
}

const inlineDisk: DiskThreads = {
  limit: 0,
  running: 0,
  start: () => undefined,
  idleShare: () => 0,
  openStream: () => {
    throw new Error("the inline reader writes by itself");
  },
  hash: async (slices) => {
    await tick();
    return slices.map((slice) => readSlice(slice));
  },
  copy: async (from, to) => {
    await tick();
    const writer = createSliceWriter([to]);
    try {
      return readSlice(from, (bytes) => writer.write(bytes));
    } finally {
      writer.abort();
    }
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

function readSlice(
  { path, offset, size }: SourceSlice,
  onBytes?: (bytes: Uint8Array) => void,
): Digest {
  const hash = createDigestHash();
  const fd = openSync(path, "r");
  try {
    const block = Buffer.alloc(size);
    const bytes = block.subarray(0, readSync(fd, block, 0, size, offset));
    hash.update(bytes);
    onBytes?.(bytes);
  } finally {
    closeSync(fd);
  }
  return hash.digest();
}
