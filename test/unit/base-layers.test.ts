import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChunkIndex } from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";
import { chooseRepacked, mapBase, type UsedLayer } from "../../src/pack/base-layers.ts";
import { maxManifestLayers } from "../../src/pack/layer-rules.ts";

const target = 1000;
const layer = (number: number, liveBytes: number, size = 100): UsedLayer => ({
  layer: number,
  size,
  liveBytes,
});
const fresh = (bytes: number, layers = 1) => ({ bytes, layers, target });

describe("base layers that are left behind", () => {
  test.each<[string, UsedLayer[], number, number[]]>([
    ["none, when nothing moves anyway", [layer(0, 1), layer(1, 49)], 0, []],
    ["none that is half alive", [layer(0, 50), layer(1, 100)], 1_000_000, []],
    ["those less than half alive, when that is cheap", [layer(0, 49), layer(1, 50)], 980, [0]],
    ["not those less than half alive, when it is dear", [layer(0, 49)], 979, []],
    ["the deadest first", [layer(0, 40), layer(1, 10), layer(2, 30)], 800, [1, 2]],
    ["the deadest by share, not by bytes", [layer(0, 40), layer(1, 90, 1000)], 1800, [1]],
  ])("%s", (_, used, moving, expected) => {
    expect(chooseRepacked(used, fresh(moving))).toEqual(new Set(expected));
  });

  test("as many as the limit of layers asks for, those with the fewest live bytes", () => {
    const used = Array.from({ length: maxManifestLayers }, (_, at) => layer(at, at + 60, 1000));
    const repacked = chooseRepacked(used, fresh(0, 0));
    expect([...repacked]).toEqual([0, 1]);
  });

  test("none at exactly the limit", () => {
    const used = Array.from({ length: maxManifestLayers - 1 }, (_, at) => layer(at, 100));
    expect(chooseRepacked(used, fresh(0, 0)).size).toBe(0);
    expect(chooseRepacked(used, fresh(0, 1)).size).toBeGreaterThan(0);
  });

  test("never cost more than 5 % beside the limit, and always keep it", () => {
    const layers = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 500 });
    fc.assert(
      fc.property(layers, fc.nat(20_000), fc.nat(100), (live, moving, freshLayers) => {
        const used = live.map((bytes, at) => layer(at, bytes));
        const repacked = chooseRepacked(used, fresh(moving, freshLayers));
        const bytes = used
          .filter((each) => repacked.has(each.layer))
          .reduce((sum, each) => sum + each.liveBytes, 0);
        const left = used.length - repacked.size;
        const count = 1 + left + freshLayers + Math.ceil((2 * bytes) / target);
        expect(count <= maxManifestLayers || left === 0).toBe(true);
        if (1 + used.length + freshLayers + Math.ceil(moving / 10_000) < maxManifestLayers)
          expect(bytes).toBeLessThanOrEqual(moving * 0.05);
      }),
    );
  });
});

describe("the chunks of a base", () => {
  test("are found by digest, each at its first place", () => {
    const [a, b] = [digestOf("a"), digestOf("b")];
    const base: ChunkIndex = {
      layers: [
        { digest: digestOf("x"), size: 20 },
        { digest: digestOf("y"), size: 10 },
      ],
      files: [
        {
          path: "1",
          size: 20,
          chunks: [
            { digest: a, size: 10, layer: 1, offset: 0 },
            { digest: b, size: 10, layer: 0, offset: 10 },
          ],
        },
        { path: "2", size: 10, chunks: [{ digest: a, size: 10, layer: 0, offset: 0 }] },
      ],
    };
    expect([...mapBase(base)]).toEqual([
      [a, { layer: 1, offset: 0 }],
      [b, { layer: 0, offset: 10 }],
    ]);
  });
});
