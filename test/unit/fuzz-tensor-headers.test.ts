import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readGgufHeader } from "../../src/core/gguf.ts";
import { readSafetensorsHeader } from "../../src/core/safetensors.ts";
import type { HeaderReading, ReadAt, TensorHeader } from "../../src/core/tensor-header.ts";
import { fuzzRuns, mutated, mutatedJson } from "../support/fuzz.ts";
import {
  frameSafetensors,
  ggufArray,
  ggufString,
  makeGguf,
  readAtOfBytes,
  u32,
  u64,
} from "../support/models.ts";

type Read = (readAt: ReadAt, fileSize: number) => Promise<HeaderReading<TensorHeader<unknown>>>;

/** Reads a header and checks what it says, and that no more was asked for than there is. */
async function check(read: Read, bytes: Buffer, fileSize: number): Promise<string> {
  const readAt = readAtOfBytes(bytes);
  let asked = 0;
  const reading = await read((offset, length) => {
    expect(offset >= 0 && offset + length <= fileSize).toBe(true);
    asked += length;
    return readAt(offset, length);
  }, fileSize);
  expect(asked).toBeLessThanOrEqual(3 * fileSize);
  if (reading.outcome === "damaged") {
    expect(reading.reason).toMatch(/^.{1,1500}$/s);
    return reading.outcome;
  }
  const { header } = reading;
  let end = header.headerBytes;
  for (const tensor of header.tensors) {
    expect(tensor.offset).toBe(end);
    expect(Number.isSafeInteger(tensor.size) && tensor.size >= 0).toBe(true);
    end += tensor.size;
  }
  expect(end).toBe(fileSize);
  expect(header.tensors.length + header.metadata.size).toBeLessThanOrEqual(bytes.byteLength);
  return reading.outcome;
}

/** Files as they are, and of which less or more is there than they say. */
function files(content: fc.Arbitrary<Buffer>): fc.Arbitrary<[Buffer, number]> {
  const sizes = fc.constantFrom<(bytes: number) => number>(
    (bytes) => bytes,
    (bytes) => bytes,
    (bytes) => bytes,
    (bytes) => bytes + 1000,
    (bytes) => Math.floor(bytes / 2),
    () => 2 ** 40,
  );
  return fc.tuple(content, sizes).map(([bytes, size]) => [bytes, size(bytes.byteLength)]);
}

const safetensors = {
  __metadata__: { format: "pt", "": "x" },
  "a.weight": { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] },
  b: { dtype: "U8", shape: [3], data_offsets: [16, 19] },
  "c.scalar": { dtype: "BF16", shape: [], data_offsets: [19, 21] },
  "d.empty": { dtype: "F8_E4M3", shape: [0, 5], data_offsets: [21, 21] },
};
const framed = (json: Uint8Array | string) =>
  frameSafetensors(Buffer.from(json as string).toString(), Buffer.alloc(21));

const ggufFile = (version: number) =>
  makeGguf({
    version,
    metadata: [
      ["general.name", "x"],
      ["general.alignment", 32],
      ["list", ggufArray(8, [ggufString("a"), ggufString("b")])],
      ["nested", ggufArray(9, [Buffer.concat([u32(4), u64(2), u32(1), u32(2)])])],
      ["flag", true],
      ["wide", Buffer.concat([u32(10), u64(5)])],
      ["float", Buffer.concat([u32(12), u64(0x3ff0000000000000n)])],
    ],
    tensors: [
      { name: "a", shape: [3], type: 0, bytes: Buffer.alloc(12, 1) },
      { name: "b", shape: [32, 2], type: 2, bytes: Buffer.alloc(36, 2) },
      { name: "c", shape: [], type: 24, bytes: Buffer.alloc(1) },
      { name: "d", shape: [5], type: 98, bytes: Buffer.alloc(40) },
    ],
  });
const gguf = [ggufFile(2), ggufFile(3), makeGguf({ metadata: [["a", "b"]] })] as const;

/** Checks many files; resolves to what became of them. */
async function checkMany(
  read: Read,
  content: fc.Arbitrary<Buffer>,
  runs: number,
): Promise<string[]> {
  const outcomes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(files(content), async ([bytes, size]) => {
      outcomes.add(await check(read, bytes, size));
    }),
    fuzzRuns(runs),
  );
  return [...outcomes].sort();
}

describe("whatever a file holds", () => {
  test("the header of a safetensors file covers it, or it is damaged", async () => {
    const content = fc.oneof(
      mutatedJson([safetensors]).map(framed),
      mutated([JSON.stringify(safetensors)]).map(framed),
      mutated([framed(JSON.stringify(safetensors))]),
    );
    expect(await checkMany(readSafetensorsHeader, content, 3000)).toEqual(["damaged", "read"]);
  });

  test("the header of a GGUF file covers it, or it is damaged", async () => {
    const content = mutated(gguf, ["GGUF"]);
    expect(await checkMany(readGgufHeader, content, 5000)).toEqual(["damaged", "read"]);
  });

  test("the originals are read", async () => {
    const originals: [Read, Buffer][] = [
      [readSafetensorsHeader, framed(JSON.stringify(safetensors))],
      ...gguf.map((file): [Read, Buffer] => [readGgufHeader, file]),
    ];
    for (const [read, bytes] of originals)
      expect((await read(readAtOfBytes(bytes), bytes.byteLength)).outcome).toBe("read");
  });
});

/** Headers that claim a lot, or hold a lot of nothing. */
const huge: [string, Read, Buffer][] = [
  ["many empty lists", readSafetensorsHeader, framed(`{"a":[${"[],".repeat(1_300_000)}[]]}`)],
  ["many names", readSafetensorsHeader, framed(`{${manyNames()}}`)],
  ["much metadata", readSafetensorsHeader, framed(`{"__metadata__":{${manyNames()}}}`)],
  ["a name of brackets", readSafetensorsHeader, framed(`{"${"[{".repeat(2_000_000)}":1}`)],
  ["a shape of many numbers", readSafetensorsHeader, framed(shapeOf("1,".repeat(900_000)))],
  ["nested lists", readGgufHeader, ggufOf(ggufLists(300_000))],
  ["lists of lists of lists", readGgufHeader, ggufOf(deepLists(100))],
  ["empty strings", readGgufHeader, ggufOf(ggufArray(8, [Buffer.alloc(4_000_000)]), 500_000)],
];

function manyNames(): string {
  return Array.from({ length: 300_000 }, (_, at) => `"${at}":"x"`).join();
}

function shapeOf(numbers: string): string {
  return `{"a":{"dtype":"U8","shape":[${numbers}21],"data_offsets":[0,21]}}`;
}

function ggufOf(value: Buffer, items?: number): Buffer {
  const file = makeGguf({ metadata: [["list", value]] });
  const count = file.indexOf(value.subarray(0, 16)) + 8;
  if (items !== undefined) file.writeBigUInt64LE(BigInt(items), count);
  return file;
}

/** One list of empty lists. */
function ggufLists(count: number): Buffer {
  const empty = Buffer.concat([u32(4), u64(0)]);
  return ggufArray(9, Array<Buffer>(count).fill(empty));
}

function deepLists(depth: number): Buffer {
  let inner = Buffer.concat([u32(4), u64(0)]);
  for (let at = 0; at < depth; at += 1) inner = Buffer.concat([u32(9), u64(1), inner]);
  return Buffer.concat([u32(9), inner]);
}

test.each(huge)("a header of %s is read or found damaged in good time", async (_, read, bytes) => {
  expect(await check(read, bytes, bytes.byteLength)).toMatch(/^(read|damaged)$/);
});
