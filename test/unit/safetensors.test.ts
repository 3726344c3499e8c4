import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  maxSafetensorsHeaderBytes,
  parseSafetensorsHeader,
  readSafetensorsHeader,
} from "../../src/core/safetensors.ts";
import type { HeaderReading } from "../../src/core/tensor-header.ts";
import {
  frameSafetensors,
  makeSafetensors,
  readAtOfBytes,
  type SafetensorsTensor,
} from "../support/models.ts";

const read = (file: Uint8Array) => readSafetensorsHeader(readAtOfBytes(file), file.byteLength);

function reasonOf(reading: HeaderReading<unknown>): string | undefined {
  return reading.outcome === "damaged" ? reading.reason : undefined;
}

const f32 = (name: string, offsets: string, shape = "[1]") =>
  `${JSON.stringify(name)}:{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;

const tensors: fc.Arbitrary<SafetensorsTensor[]> = fc
  .uniqueArray(
    fc.record({
      name: fc.oneof(
        fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__"),
        fc.constantFrom("__proto__", "constructor", "toString", "0", ""),
      ),
      dtype: fc.constantFrom("U8", "F8_E4M3", "ANYTHING"),
      bytes: fc.uint8Array({ maxLength: 40 }),
    }),
    { selector: (tensor) => tensor.name, maxLength: 12 },
  )
  .map((items) => items.map((item) => ({ ...item, shape: [item.bytes.byteLength] })));

describe("the header of a safetensors file", () => {
  test("reads back what was written, covering every byte once", async () => {
    const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 4 });
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (written, notes) => {
        const file = makeSafetensors(written, notes);
        const reading = await read(file);
        if (reading.outcome === "damaged") throw new Error(reading.reason);
        const { header } = reading;
        const byName = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
        expect(byName.size).toBe(written.length);
        for (const { name, dtype, shape, bytes } of written) {
          const tensor = byName.get(name);
          expect(tensor).toMatchObject({ dtype, shape, size: bytes.byteLength });
          const at = tensor?.offset ?? 0;
          expect(file.subarray(at, at + bytes.byteLength)).toEqual(Buffer.from(bytes));
        }
        let end = header.headerBytes;
        for (const tensor of header.tensors) {
          expect(tensor.offset).toBe(end);
          end += tensor.size;
        }
        expect(end).toBe(file.byteLength);
        expect([...header.metadata]).toEqual(Object.entries(notes));
      }),
    );
  });

  test("is sorted by where tensors lie, not by where they are named", async () => {
    const json = `{${f32("late", "[4,8]")},${f32("early", "[0,4]")}}`;
    const reading = await read(frameSafetensors(json, Buffer.alloc(8)));
    expect(reading).toMatchObject({
      header: {
        headerBytes: 8 + json.length,
        tensors: [
          { name: "early", offset: 8 + json.length, size: 4 },
          { name: "late", offset: 12 + json.length, size: 4 },
        ],
      },
    });
  });

  test("may hold empty tensors, scalars, packed types, unknown types and spaces at its end", async () => {
    const json = [
      `{${f32("none", "[0,0]", "[0,7]")}`,
      f32("scalar", "[0,4]", "[]"),
      `"packed":{"dtype":"F4","shape":[2,3],"data_offsets":[4,7]}`,
      `"new":{"dtype":"X9","shape":[5],"data_offsets":[7,9]}}   `,
    ].join(",");
    const reading = await read(frameSafetensors(json, Buffer.alloc(9)));
    expect(reading.outcome === "read" && reading.header.tensors.map(({ name }) => name)).toEqual([
      "none",
      "scalar",
      "packed",
      "new",
    ]);
  });

  test.each([
    ["no JSON", "{", 0, /not valid JSON/],
    ["JSON that is no object", "[]", 0, /not an object/],
    ["a tensor that is no object", '{"a":1}', 0, /tensor "a" is not an object/],
    ["a tensor without dtype", '{"a":{"shape":[],"data_offsets":[0,0]}}', 0, /no dtype/],
    ["a negative extent", `{${f32("a", "[0,4]", "[-1]")}}`, 4, /no valid shape/],
    ["a fractional extent", `{${f32("a", "[0,4]", "[1.5]")}}`, 4, /no valid shape/],
    ["an extent above 2^53", `{${f32("a", "[0,4]", "[9007199254740993]")}}`, 4, /no valid shape/],
    ["an absurd product", `{${f32("a", "[0,4]", "[4294967296,4294967296]")}}`, 4, /absurd shape/],
    ["three offsets", `{${f32("a", "[0,4,8]")}}`, 4, /no valid data_offsets/],
    ["offsets that are text", `{${f32("a", '["0","4"]')}}`, 4, /no valid data_offsets/],
    ["an end before the start", `{${f32("a", "[4,0]")}}`, 4, /ends before it starts/],
    ["bytes that do not fit the shape", `{${f32("a", "[0,8]")}}`, 8, /not what F32/],
    ["a hole", `{${f32("a", "[0,4]")},${f32("b", "[8,12]")}}`, 12, /4 bytes before "b"/],
    ["a hole at the start", `{${f32("a", "[4,8]")}}`, 8, /4 bytes before "a"/],
    ["an overlap", `{${f32("a", "[0,4]")},${f32("b", "[2,6]")}}`, 6, /same bytes/],
    ["two tensors in one place", `{${f32("a", "[0,4]")},${f32("b", "[0,4]")}}`, 4, /same bytes/],
    ["bytes behind the last tensor", `{${f32("a", "[0,4]")}}`, 5, /1 bytes after/],
    ["too few bytes", `{${f32("a", "[0,4]")}}`, 3, /cut short: .* 1 bytes more/],
    ["a tensor named twice", `{${f32("a", "[0,4]")},${f32("a", "[0,4]")}}`, 4, /twice/],
    ["metadata that is no object", '{"__metadata__":[]}', 0, /__metadata__/],
  ])("with %s is damaged", async (_, json, tensorBytes, reason) => {
    const file = frameSafetensors(json, Buffer.alloc(tensorBytes));
    expect(reasonOf(await read(file))).toMatch(reason);
  });

  test("keeps only the strings of its metadata", () => {
    const json = '{"__metadata__":{"format":"pt","n":1,"__proto__":"x"}}';
    const reading = parseSafetensorsHeader(Buffer.from(json), 0);
    expect(reading.outcome === "read" && [...reading.header.metadata]).toEqual([
      ["format", "pt"],
      ["__proto__", "x"],
    ]);
  });

  test.each([
    ["0", Buffer.alloc(0), /only 0 bytes/],
    ["7", Buffer.alloc(7), /only 7 bytes/],
    [
      "a length above the file",
      frameSafetensors("{}", Buffer.alloc(0)).subarray(0, 9),
      /header of 2/,
    ],
    ["a text", Buffer.from("version https://example.com/spec"), /header of \d{15,}/],
  ])("is damaged in a file of %s bytes", async (_, file, reason) => {
    expect(reasonOf(await read(file))).toMatch(reason);
  });

  test("above the format's limit is refused before it is read", async () => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(maxSafetensorsHeaderBytes + 1));
    const asked: number[] = [];
    const reading = await readSafetensorsHeader((_, bytes) => {
      asked.push(bytes);
      return Promise.resolve(length);
    }, 2 ** 40);
    expect(reasonOf(reading)).toMatch(/header of 100000001 bytes/);
    expect(asked).toEqual([8]);
  });

  test("that ends early while it is read is damaged", async () => {
    const file = makeSafetensors([{ name: "a", dtype: "U8", shape: [4], bytes: Buffer.alloc(4) }]);
    const reading = await readSafetensorsHeader(readAtOfBytes(file.subarray(0, 20)), file.length);
    expect(reasonOf(reading)).toMatch(/ends inside/);
  });

  test("leaves the reader's own failure to the caller", async () => {
    const failure = new Error("connection reset");
    await expect(readSafetensorsHeader(() => Promise.reject(failure), 100)).rejects.toBe(failure);
  });

  test("never fails in another way, whatever the bytes are", async () => {
    const written = makeSafetensors([
      { name: "a.weight", dtype: "F32", shape: [2, 2], bytes: Buffer.alloc(16) },
      { name: "b", dtype: "U8", shape: [3], bytes: Buffer.alloc(3) },
    ]);
    const cut = fc.nat(written.length - 1).map((at) => written.subarray(0, at));
    const flipped = fc.tuple(fc.nat(written.length - 1), fc.nat(255)).map(([at, byte]) => {
      const copy = Buffer.from(written);
      copy[at] = byte;
      return copy;
    });
    const framed = fc.json().map((json) => frameSafetensors(json, Buffer.alloc(4)));
    const anything = fc.oneof(cut, flipped, framed, fc.uint8Array({ maxLength: 64 }));
    await fc.assert(
      fc.asyncProperty(anything, async (file) => {
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
    for (let at = 0; at < written.length; at += 1)
      expect((await read(written.subarray(0, at))).outcome).toBe("damaged");
  });
});
