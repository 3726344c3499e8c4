import fc from "fast-check";
import { expect, test } from "vitest";
import { maxChunkBytes } from "../../src/core/chunk-index.ts";
import {
  type BoundedTensor,
  endsGroup,
  pieceSizes,
  tensorChunkSizes,
} from "../../src/pack/tensor-groups.ts";

const MiB = 1_048_576;

const tensorArbitrary: fc.Arbitrary<BoundedTensor> = fc.record({
  name: fc
    .tuple(fc.nat(99), fc.constantFrom("attn.q", "attn.k", "mlp.up", "mlp.down", "norm"))
    .map(([layer, part]) => `model.layers.${layer}.${part}.weight`),
  dtype: fc.constantFrom("BF16", "F32", "U8"),
  shape: fc.array(fc.nat(8192), { maxLength: 3 }),
  size: fc.oneof(
    fc.nat(64 * 1024),
    fc.nat(12 * MiB),
    fc.nat(100 * MiB),
    fc.constantFrom(0, 8 * MiB, maxChunkBytes, maxChunkBytes + 1),
  ),
});
const tensorsArbitrary = fc.array(tensorArbitrary, { maxLength: 200 });

const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0);

/** Where chunks end, counted from the first tensor. */
function endsOf(tensors: readonly BoundedTensor[]): number[] {
  let end = 0;
  return tensorChunkSizes(tensors).map((size) => (end += size));
}

/** Ends that do not depend on what stands before: around big tensors and after ends of groups. */
function localEnds(tensors: readonly BoundedTensor[]): number[] {
  let end = 0;
  return tensors.flatMap((tensor) => {
    const start = end;
    end += tensor.size;
    if (tensor.size > maxChunkBytes) return [start, end];
    return endsGroup(tensor) ? [end] : [];
  });
}

test("sizes add up and no chunk is empty or larger than 32 MiB", () => {
  fc.assert(
    fc.property(tensorsArbitrary, (tensors) => {
      const sizes = tensorChunkSizes(tensors);
      expect(sum(sizes)).toBe(sum(tensors.map(({ size }) => size)));
      expect(sizes.every((size) => size > 0 && size <= maxChunkBytes)).toBe(true);
    }),
  );
});

test("every end that a tensor decides is there, whatever stands around it", () => {
  fc.assert(
    fc.property(tensorsArbitrary, (tensors) => {
      const ends = new Set([0, ...endsOf(tensors)]);
      for (const end of localEnds(tensors)) expect(ends).toContain(end);
    }),
  );
});

test("a shard edge changes only the groups between the decided ends around it", () => {
  fc.assert(
    fc.property(tensorsArbitrary, fc.nat(200), (tensors, at) => {
      const cut = Math.min(at, tensors.length);
      const edge = sum(tensors.slice(0, cut).map(({ size }) => size));
      const resharded = [
        ...endsOf(tensors.slice(0, cut)),
        ...endsOf(tensors.slice(cut)).map((end) => edge + end),
      ];
      const decided = localEnds(tensors);
      const before = Math.max(0, ...decided.filter((end) => end <= edge));
      const after = Math.min(Infinity, ...decided.filter((end) => end >= edge));
      const away = (end: number) => end <= before || end >= after;
      expect(resharded.filter(away)).toEqual(endsOf(tensors).filter(away));
    }),
  );
});

test("renamed prefixes keep every end", () => {
  fc.assert(
    fc.property(tensorsArbitrary, (tensors) => {
      const renamed = tensors.map((tensor) => ({
        ...tensor,
        name: `base_model.${tensor.name.replace("model.layers", "transformer.h")}`,
      }));
      expect(tensorChunkSizes(renamed)).toEqual(tensorChunkSizes(tensors));
    }),
  );
});

test("a tensor larger than a chunk is cut in 32 MiB from its start and joined with nothing", () => {
  const small = { name: "a.norm.weight", dtype: "BF16", shape: [8], size: 16 };
  const big = { name: "a.up.weight", dtype: "BF16", shape: [1], size: 2 * maxChunkBytes + 5 };
  expect(endsGroup(small)).toBe(false);
  expect(tensorChunkSizes([small, big, small])).toEqual([16, maxChunkBytes, maxChunkBytes, 5, 16]);
});

test.each([
  [0, []],
  [1, [1]],
  [maxChunkBytes, [maxChunkBytes]],
  [maxChunkBytes + 1, [maxChunkBytes, 1]],
])("%i bytes are the pieces %j", (size, pieces) => {
  expect(pieceSizes(size)).toEqual(pieces);
});

test.each([
  ["2 MiB always end a group", 2 * MiB, true],
  ["no byte never does", 0, false],
])("%s", (_, size, ends) => {
  fc.assert(
    fc.property(tensorArbitrary, (tensor) => {
      expect(endsGroup({ ...tensor, size })).toBe(ends);
    }),
  );
});

test("without an end decided in time, a group ends before the tensor that would not fit", () => {
  const undecided = Array.from({ length: 200 }, (_, at) => ({
    name: `t${at}`,
    dtype: "U8",
    shape: [at],
    size: MiB,
  })).filter((tensor) => !endsGroup(tensor));
  expect(tensorChunkSizes(undecided.slice(0, 40))).toEqual([32 * MiB, 8 * MiB]);
});

test("groups of small tensors are about 2 MiB on average", () => {
  const tensors = Array.from({ length: 20_000 }, (_, at) => ({
    name: `layers.${at}.x${at}.weight`,
    dtype: "BF16",
    shape: [at],
    size: 64 * 1024,
  }));
  const sizes = tensorChunkSizes(tensors);
  const average = sum(sizes) / sizes.length / MiB;
  expect(average).toBeGreaterThan(1.75);
  expect(average).toBeLessThan(2.25);
});
