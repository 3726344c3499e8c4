import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Chunk } from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";
import { planFetches, type WantedChunk } from "../../src/transfer/fetch-plan.ts";

/** Chunks end to end in layers, by name. */
function layOut(layers: readonly (readonly [name: string, size: number][])[]): Chunk[] {
  return layers.flatMap((chunks, layer) => {
    let offset = 0;
    return chunks.map(([name, size]) => {
      offset += size;
      return { digest: digestOf(name), size, layer, offset: offset - size };
    });
  });
}

const want = (chunks: readonly Chunk[]): WantedChunk<number>[] =>
  chunks.map((chunk, target) => ({ chunk, target }));

describe("a plan of fetches", () => {
  test("joins neighbours of one layer, whatever order they are wanted in", () => {
    const chunks = layOut([
      [
        ["a", 10],
        ["b", 20],
        ["c", 30],
      ],
      [["d", 5]],
    ]);
    const { ranges } = planFetches(want(chunks.toReversed()));
    expect(ranges.map(({ layer, offset, length }) => [layer, offset, length])).toEqual([
      [0, 0, 60],
      [1, 0, 5],
    ]);
  });

  test("makes ranges longer rather than more than 384, as far as layers go", () => {
    const mebi = 1_048_576;
    // 140 GB in 280 layers of 16 chunks.
    const layers = Array.from({ length: 280 }, (_, layer) =>
      Array.from({ length: 16 }, (_, at): [string, number] => [`${layer} ${at}`, 30 * mebi]),
    );
    const { ranges } = planFetches(want(layOut(layers)));
    expect(ranges.length).toBeLessThanOrEqual(384);
    const lengths = ranges.reduce((sum, { length }) => sum + length, 0);
    expect(lengths).toBe(280 * 16 * 30 * mebi);
    expect(planFetches(want(layOut(layers)), 32 * mebi).ranges).toHaveLength(280 * 16);
  });

  test("ends with layers where there are more than 384 of them", () => {
    const layers = Array.from({ length: 400 }, (_, layer): [string, number][] => [
      [`${layer}`, 10],
    ]);
    expect(planFetches(want(layOut(layers))).ranges).toHaveLength(400);
  });

  test("does not fetch what lies between wanted chunks", () => {
    const [a, , c] = layOut([
      [
        ["a", 10],
        ["b", 20],
        ["c", 30],
      ],
    ]);
    if (a === undefined || c === undefined) throw new Error("no chunks");
    const { ranges } = planFetches(want([a, c]));
    expect(ranges.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 10],
      [30, 30],
    ]);
  });

  test("fetches a chunk that is wanted twice once, and copies it", () => {
    const [a] = layOut([[["a", 10]]]);
    if (a === undefined) throw new Error("no chunk");
    const plan = planFetches(want([a, a, a]));
    expect(plan.ranges).toHaveLength(1);
    expect(plan.repeats.map(({ from, to }) => [from.target, to.target])).toEqual([
      [0, 1],
      [0, 2],
    ]);
  });

  test("asks for no more than so many chunks at once", () => {
    const names = Array.from({ length: 3000 }, (_, at): [string, number] => [`small ${at}`, 1]);
    const { ranges } = planFetches(want(layOut([names])));
    expect(ranges.map(({ wanted }) => wanted.length)).toEqual([1024, 1024, 952]);
  });

  test("brings each chunk exactly once, in ranges that are full and not too long", () => {
    const layer = fc.array(fc.tuple(fc.string({ maxLength: 2 }), fc.integer({ min: 1, max: 40 })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 4 }), fc.func(fc.boolean()), (layers, take) => {
        // A name has one size: what it holds.
        const sized = layers.map((chunks) =>
          chunks.map(([name, size]): [string, number] => [`${name} ${size}`, size]),
        );
        const wanted = want(layOut(sized).filter((chunk) => take(chunk.digest)));
        const { ranges, repeats } = planFetches(wanted, 64);
        for (const range of ranges) {
          let at = range.offset;
          for (const { chunk } of range.wanted) {
            expect([chunk.layer, chunk.offset]).toEqual([range.layer, at]);
            at += chunk.size;
          }
          expect(at - range.offset).toBe(range.length);
          expect(range.length).toBeLessThanOrEqual(64);
        }
        const fetched = ranges.flatMap((range) => range.wanted);
        const targets = [...fetched, ...repeats.map(({ to }) => to)].map(({ target }) => target);
        expect(targets.sort((a, b) => a - b)).toEqual(wanted.map(({ target }) => target));
        const digests = fetched.map(({ chunk }) => chunk.digest);
        expect(new Set(digests).size).toBe(digests.length);
        for (const { from, to } of repeats) {
          expect(from.chunk.digest).toBe(to.chunk.digest);
          expect(fetched).toContain(from);
        }
      }),
    );
  });
});
