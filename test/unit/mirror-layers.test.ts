import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coverLayer, cutSlices, layersOf } from "../../src/agent/mirror/layer-cover.ts";
import { createRecent } from "../../src/agent/mirror/recent.ts";
import { type ChunkIndex, fileId } from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";

/** A layer, and files that are made of pieces of it; `cuts` are the ends of its chunks. */
function scene(cuts: readonly number[], files: readonly (readonly number[])[]) {
  const ends = [...new Set(cuts)].sort((a, b) => a - b);
  const layer = randomBytes(ends.at(-1) ?? 0);
  const chunks = ends.map((end, at) => {
    const offset = ends[at - 1] ?? 0;
    const bytes = layer.subarray(offset, end);
    return { bytes, digest: digestOf(bytes), size: end - offset, layer: 0, offset };
  });
  const contents = files.map((numbers) =>
    numbers.map((number) => chunks[number % chunks.length]).filter((each) => each !== undefined),
  );
  const index: ChunkIndex = {
    layers: [{ digest: digestOf(layer), size: layer.byteLength }],
    files: contents.map((held, at) => ({
      path: `${at}`,
      size: held.reduce((sum, { size }) => sum + size, 0),
      chunks: held,
    })),
  };
  const bytesOf = new Map(
    contents.map((held, at) => [
      fileId(index.files[at] ?? { chunks: [] }),
      Buffer.concat(held.map(({ bytes }) => bytes)),
    ]),
  );
  const here = new Set(contents.flat().map(({ offset }) => offset));
  return { layer, index, bytesOf, isWhole: chunks.every(({ offset }) => here.has(offset)) };
}

const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 12 });
const files = fc.array(fc.array(fc.nat(11), { maxLength: 12 }), { maxLength: 5 });
const part = fc.record({ from: fc.nat(200), length: fc.nat(200) });

describe("a layer made of files", () => {
  test("has exactly the registry's bytes, whole and in part, or is not made at all", () => {
    fc.assert(
      fc.property(cuts, files, part, (ends, contents, { from, length }) => {
        const { layer, index, bytesOf, isWhole } = scene(ends, contents);
        const stretches = layersOf(index).get(digestOf(layer)) ?? [];
        const pathOf = (file: string) => file;
        const slices = coverLayer(stretches, { size: layer.byteLength, pathOf });
        expect(slices !== undefined).toBe(isWhole);
        const offset = Math.min(from, layer.byteLength);
        const wanted = { offset, length: Math.min(length, layer.byteLength - offset) };
        const pieces = [...cutSlices(slices ?? [], wanted)].map(
          ({ path, offset: at, length: l }) => {
            expect(l).toBeGreaterThan(0);
            return bytesOf.get(path)?.subarray(at, at + l) ?? Buffer.alloc(0);
          },
        );
        const expected = layer.subarray(wanted.offset, wanted.offset + wanted.length);
        if (isWhole) expect(Buffer.concat(pieces).equals(expected)).toBe(true);
      }),
    );
  });

  test("takes a run of chunks of one file as one slice", () => {
    const { layer, index } = scene([10, 20, 30, 40], [[0, 1, 2], [3]]);
    const stretches = layersOf(index).get(digestOf(layer)) ?? [];
    const slices = coverLayer(stretches, { size: 40, pathOf: (file) => file });
    expect(slices?.map(({ length }) => length)).toEqual([30, 10]);
  });

  test("is refused where a layer is longer than its chunks", () => {
    const { layer, index } = scene([10, 20], [[0, 1]]);
    const stretches = layersOf(index).get(digestOf(layer)) ?? [];
    expect(coverLayer(stretches, { size: 21, pathOf: (file) => file })).toBeUndefined();
  });
});

describe("what was made recently", () => {
  test("is made once for all who ask at once, and again after a failure or when there was nothing", async () => {
    const recent = createRecent<string>(10, (made) => made.length);
    let made = 0;
    const outcomes: (string | undefined | Error)[] = [new Error("broken"), undefined, "abc"];
    const make = async () => {
      const outcome = outcomes[made];
      made += 1;
      if (outcome instanceof Error) throw outcome;
      return outcome;
    };
    const failed = await Promise.allSettled([recent.get("a", make), recent.get("a", make)]);
    expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(made).toBe(1);
    expect(await recent.get("a", make)).toBeUndefined();
    expect(await Promise.all([recent.get("a", make), recent.get("a", make)])).toEqual([
      "abc",
      "abc",
    ]);
    expect(made).toBe(3);
  });

  test("is dropped when it weighs too much, what was asked for longest ago first", async () => {
    const recent = createRecent<string>(10, (made) => made.length);
    const made: string[] = [];
    const get = (key: string, size: number) =>
      recent.get(key, async () => {
        made.push(key);
        return "x".repeat(size);
      });
    await get("a", 4);
    await get("b", 4);
    await get("a", 4);
    await get("c", 4);
    await get("a", 4);
    await get("b", 4);
    expect(made).toEqual(["a", "b", "c", "b"]);
    await get("large", 11);
    await get("large", 11);
    expect(made.slice(4)).toEqual(["large", "large"]);
  });
});
