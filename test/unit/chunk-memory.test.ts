import fc from "fast-check";
import { expect, test } from "vitest";
import { createChunkMemory, type MemoryGrant, slicePages } from "../../src/pack/chunk-memory.ts";

const page = 1_048_576;

test("whatever is granted and given back in parts, no byte has two owners and none is lost", () => {
  const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 * page }), fc.nat()), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(sizes, (requests) => {
      using memory = createChunkMemory(16 * page, () => {});
      const held: { grant: MemoryGrant; size: number }[] = [];
      for (const [size, pick] of requests) {
        const grant = memory.grant(size);
        if (grant !== undefined) held.push({ grant, size });
        const offsets = held.flatMap(({ grant: each }) => each.pages.map((one) => one.byteOffset));
        expect(new Set(offsets).size).toBe(offsets.length);
        expect(memory.used).toBe(offsets.length * page);
        if (grant !== undefined) continue;
        const [released] = held.splice(pick % Math.max(1, held.length), 1);
        const cut = pick % (released?.size ?? 1);
        released?.grant.giveBack(cut, released.size - cut);
        released?.grant.giveBack(0, cut);
      }
      for (const { grant, size } of held) grant.giveBack(0, size);
      expect(memory.used).toBe(0);
    }),
    { numRuns: 100 },
  );
});

test("pieces of pages cover exactly the bytes asked for", () => {
  using memory = createChunkMemory(4 * page, () => {});
  const pages = memory.grant(3 * page)?.pages ?? [];
  const pieces = slicePages(pages, page - 1, 2 * page + 5);
  expect(pieces.map((piece) => piece.byteLength)).toEqual([1, page, 5]);
  expect(slicePages(pages, 7, 7)).toEqual([]);
  expect(() => slicePages(pages, 0, 3 * page + 1)).toThrow(RangeError);
});

test("what does not fit is not granted, and the return of one part of a page is no return yet", () => {
  let returns = 0;
  using memory = createChunkMemory(2 * page, () => (returns += 1));
  expect(memory.grant(2 * page + 1)).toBeUndefined();
  const grant = memory.grant(page + 10);
  expect(memory.grant(1)).toBeUndefined();
  grant?.giveBack(0, page + 9);
  expect(returns).toBe(1);
  grant?.giveBack(page + 9, 1);
  expect(returns).toBe(2);
  expect(memory.grant(2 * page)).toBeDefined();
});
