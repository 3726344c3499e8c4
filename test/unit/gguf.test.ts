import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ggufLimits, readGgufHeader } from "../../src/core/gguf.ts";
import type { HeaderReading } from "../../src/core/tensor-header.ts";
import {
  type GgufMetadataValue,
  type GgufTensor,
  ggufArray,
  ggufString,
  makeGguf,
  readAtOfBytes,
  u32,
  u64,
} from "../support/models.ts";

const read = (file: Uint8Array) => readGgufHeader(readAtOfBytes(file), file.byteLength);

function reasonOf(reading: HeaderReading<unknown>): string | undefined {
  return reading.outcome === "damaged" ? reading.reason : undefined;
}

const f32 = (name: string, count: number): GgufTensor => ({
  name,
  shape: [count],
  type: 0,
  bytes: Buffer.alloc(count * 4, 1),
});

const names = (count: number) =>
  fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: count });

const tensorLists: fc.Arbitrary<GgufTensor[]> = names(8).chain((list) =>
  fc.tuple(...list.map((name) => fc.nat(30).map((count) => f32(name, count)))),
);

describe("the header of a GGUF file", () => {
  test("reads back what was written; padding belongs to the tensor before it", async () => {
    const value = fc.oneof(fc.string(), fc.boolean(), fc.nat());
    const entries: fc.Arbitrary<(readonly [string, GgufMetadataValue])[]> = names(6).chain((keys) =>
      fc.tuple(...keys.map((key) => value.map((item) => [key, item] as const))),
    );
    const alignment = fc.constantFrom(8, 32, 64, 4096);
    const version = fc.constantFrom(2, 3);
    await fc.assert(
      fc.asyncProperty(
        tensorLists,
        entries,
        alignment,
        version,
        async (tensors, notes, align, v) => {
          const metadata = [...notes, ["general.alignment", align] as const];
          const file = makeGguf({ tensors, metadata, alignment: align, version: v });
          const reading = await read(file);
          if (reading.outcome === "damaged") throw new Error(reading.reason);
          const { header } = reading;
          expect([...header.metadata]).toEqual(metadata);
          const byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
          let end = header.headerBytes;
          for (const { name, shape, bytes } of tensors) {
            const tensor = byName.get(name);
            expect(tensor).toMatchObject({ shape, dtype: "F32" });
            const at = tensor?.offset ?? 0;
            expect(file.subarray(at, at + bytes.byteLength)).toEqual(bytes);
            expect((tensor?.size ?? 0) - bytes.byteLength).toBeLessThan(align);
          }
          for (const tensor of header.tensors) {
            expect(tensor.offset).toBe(end);
            end += tensor.size;
          }
          expect(end).toBe(file.byteLength);
        },
      ),
    );
  });

  test("walks over arrays and long strings and keeps what stands around them", async () => {
    const words = Array.from({ length: 50_000 }, (_, at) => ggufString(`word ${at}`));
    const file = makeGguf({
      metadata: [
        ["before", 1],
        ["tokens", ggufArray(8, words)],
        ["scores", ggufArray(6, [u32(1), u32(2)])],
        ["nested", ggufArray(9, [ggufArray(4, [u32(7)]).subarray(4)])],
        ["long", "x".repeat(ggufLimits.valueBytes + 1)],
        ["huge", Buffer.concat([u32(10), u64(2n ** 60n)])],
        ["double", Buffer.concat([u32(12), Buffer.from(new Float64Array([0.5]).buffer)])],
        ["after", "yes"],
      ],
      tensors: [f32("a", 3)],
    });
    const reading = await read(file);
    expect(reading.outcome === "read" && [...reading.header.metadata]).toEqual([
      ["before", 1],
      ["double", 0.5],
      ["after", "yes"],
    ]);
  });

  test("names the types of tensors, also those it does not know", async () => {
    const tensors = [
      { name: "a", shape: [256, 2], type: 12, bytes: Buffer.alloc(288) },
      { name: "b", shape: [5], type: 99, bytes: Buffer.alloc(7) },
    ];
    const reading = await read(makeGguf({ tensors }));
    expect(reading.outcome === "read" && reading.header.tensors).toMatchObject([
      { dtype: "Q4_K", size: 288 },
      { dtype: "type 99", size: 32 },
    ]);
  });

  test("may have no tensors at all", async () => {
    const file = makeGguf({ metadata: [["split.no", 0]] });
    expect(await read(file)).toMatchObject({ header: { headerBytes: file.length, tensors: [] } });
  });

  test.each([
    ["without the magic", Buffer.alloc(64), /does not start with GGUF/],
    ["of version 1", makeGguf({ version: 1 }), /version 1/],
    ["of version 4", makeGguf({ version: 4 }), /version 4/],
    ["that is big-endian", makeGguf({ version: 0x03000000 }), /big-endian/],
    [
      "with a key twice",
      makeGguf({
        metadata: [
          ["a", 1],
          ["a", 2],
        ],
      }),
      /key "a" twice/,
    ],
    ["with a tensor twice", makeGguf({ tensors: [f32("a", 1), f32("a", 1)] }), /tensor "a" twice/],
    ["with an unknown value type", makeGguf({ metadata: [["a", u32(77)]] }), /unknown type 77/],
    ["with alignment 0", makeGguf({ metadata: [["general.alignment", 0]] }), /alignment 0/],
    ["with alignment 24", makeGguf({ metadata: [["general.alignment", 24]] }), /alignment 24/],
    [
      "with a textual alignment",
      makeGguf({ metadata: [["general.alignment", "x"]] }),
      /alignment x/,
    ],
    [
      "with a tensor of 9 dimensions",
      makeGguf({ tensors: [{ ...f32("a", 1), shape: Array<number>(9).fill(1) }] }),
      /9 dimensions/,
    ],
    [
      "with an absurd shape",
      makeGguf({ tensors: [{ ...f32("a", 1), shape: [2 ** 40, 2 ** 40] }] }),
      /absurd shape/,
    ],
    [
      "with a tensor that reaches into the next",
      makeGguf({ tensors: [{ ...f32("a", 1), shape: [100] }, f32("b", 1)] }),
      /"a" overlaps "b"/,
    ],
    [
      "whose last tensor is cut short",
      makeGguf({ tensors: [f32("a", 100)] }).subarray(0, -40),
      /"a" is cut short/,
    ],
    [
      "with bytes that nothing claims",
      Buffer.concat([makeGguf({}), Buffer.alloc(9)]),
      /9 bytes after/,
    ],
    [
      "with deeply nested arrays",
      makeGguf({
        metadata: [
          ["a", Buffer.concat([u32(9), ...Array<Buffer>(9).fill(Buffer.concat([u32(9), u64(1)]))])],
        ],
      }),
      /nests arrays too deep/,
    ],
    ["with a key of 2 KB", makeGguf({ metadata: [["k".repeat(2048), 1]] }), /key of 2048 bytes/],
  ])("%s is damaged", async (_, file, reason) => {
    expect(reasonOf(await read(file))).toMatch(reason);
  });

  test.each([
    ["tensors", Buffer.concat([u64(2 ** 40), u64(0)])],
    ["metadata entries", Buffer.concat([u64(0), u64(2 ** 40)])],
    ["numbers above 2^53", Buffer.concat([u64(2n ** 63n), u64(0)])],
    [
      "array items",
      Buffer.concat([
        u64(0),
        u64(1),
        ggufString("a"),
        ggufArray(8, []).subarray(0, 8),
        u64(2 ** 40),
      ]),
    ],
    ["bytes of text", Buffer.concat([u64(0), u64(1), ggufString("a"), u32(8), u64(2 ** 50)])],
  ])("that claims absurdly many %s costs one small read", async (_, counts) => {
    const file = Buffer.concat([Buffer.from("GGUF"), u32(3), counts]);
    const asked: number[] = [];
    const reading = await readGgufHeader((offset, length) => {
      asked.push(length);
      return readAtOfBytes(file)(offset, length);
    }, 2 ** 50);
    expect(reading.outcome).toBe("damaged");
    expect(asked.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(2 ** 22);
  });

  test("of a few MB is read in windows that grow with it", async () => {
    const words = Array.from({ length: 200_000 }, (_, at) => ggufString(`a longer word ${at}`));
    const file = makeGguf({ metadata: [["tokens", ggufArray(8, words)]], tensors: [f32("a", 1)] });
    let [reads, bytes] = [0, 0];
    const reading = await readGgufHeader((offset, length) => {
      reads += 1;
      bytes += length;
      return readAtOfBytes(file)(offset, length);
    }, file.length);
    expect(reading.outcome).toBe("read");
    expect(reads).toBeLessThan(8);
    expect(bytes).toBeLessThan(file.length + 100);
  });

  test("leaves the reader's own failure to the caller", async () => {
    const failure = new Error("connection reset");
    await expect(readGgufHeader(() => Promise.reject(failure), 100)).rejects.toBe(failure);
  });

  test("never fails in another way, whatever the bytes are", async () => {
    const written = makeGguf({
      metadata: [
        ["general.name", "x"],
        ["list", ggufArray(8, [ggufString("a"), ggufString("b")])],
        ["flag", true],
      ],
      tensors: [f32("a", 3), { ...f32("b", 3), type: 98 }],
    });
    const changes = fc.array(fc.tuple(fc.nat(written.length - 1), fc.nat(255)), { maxLength: 4 });
    const changed = changes.map((list) => {
      const copy = Buffer.from(written);
      for (const [at, byte] of list) copy[at] = byte;
      return copy;
    });
    const garbage = fc.uint8Array({ maxLength: 80 }).map((bytes) => {
      return Buffer.concat([Buffer.from("GGUF\x03\0\0\0"), bytes]);
    });
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, garbage), async (file) => {
        const reading = await read(file);
        if (reading.outcome === "damaged") {
          expect(reading.reason).not.toBe("");
          return;
        }
        const sizes = reading.header.tensors.reduce((sum, tensor) => sum + tensor.size, 0);
        expect(reading.header.headerBytes + sizes).toBe(file.byteLength);
      }),
      { numRuns: 1000 },
    );
    for (let at = 0; at < written.length - 32; at += 1)
      expect((await read(written.subarray(0, at))).outcome).toBe("damaged");
  });
});
