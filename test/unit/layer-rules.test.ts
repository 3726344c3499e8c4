import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxChunkBytes } from "../../src/core/chunk-index.ts";
import { digestFromHex, digestOf } from "../../src/core/digest.ts";
import {
  endsLayer,
  layerTarget,
  maxLayerBytes,
  maxManifestLayers,
} from "../../src/pack/layer-rules.ts";

const [mebi, gibi, tebi] = [2 ** 20, 2 ** 30, 2 ** 40];
const withDrawn = (hex: string, size: number) => ({
  digest: digestFromHex(hex.padEnd(64, "0")),
  size,
});

describe("where layers end", () => {
  test.each([
    [0, 32 * mebi],
    [1, 32 * mebi],
    [8 * gibi, 32 * mebi],
    [8 * gibi + 1, 64 * mebi],
    [140 * gibi, gibi],
    [tebi, 4 * gibi],
  ])("layers of a model of %d bytes are cut around %d", (total, target) => {
    expect(layerTarget(total)).toBe(target);
    expect(maxLayerBytes(target)).toBe(2 * target);
  });

  test("small changes of the size do not move the target, which never shrinks", () => {
    fc.assert(
      fc.property(fc.nat(100 * tebi), fc.nat(gibi), (total, more) => {
        const [before, after] = [layerTarget(total), layerTarget(total + more)];
        expect(after === before || after === 2 * before).toBe(true);
      }),
    );
  });

  test("a chunk of the target's size always ends its layer", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const chunk = { digest: digestOf(text), size: maxChunkBytes };
        expect(endsLayer(chunk, layerTarget(1))).toBe(true);
      }),
    );
  });

  test("the first 48 bits of the digest decide, as a fraction below size / target", () => {
    const target = 64 * mebi;
    expect(endsLayer(withDrawn("7fffffffffff", 32 * mebi), target)).toBe(true);
    expect(endsLayer(withDrawn("800000000000", 32 * mebi), target)).toBe(false);
    expect(endsLayer(withDrawn("000000000000", 1), target)).toBe(true);
    expect(endsLayer(withDrawn("000000400000", 1), target)).toBe(false);
    expect(endsLayer(withDrawn("0000003fffff", 1), target)).toBe(true);
  });

  test("a model of any size has far fewer layers than registries take", () => {
    for (const total of [8 * gibi, 9 * gibi, 500 * gibi, tebi]) {
      const target = layerTarget(total);
      let layers = 0;
      let open = 0;
      for (let at = 0, number = 0; at < total; at += maxChunkBytes, number += 1) {
        const chunk = { digest: digestOf(`${total} ${number}`), size: maxChunkBytes };
        if (open > 0 && open + chunk.size > maxLayerBytes(target)) [layers, open] = [layers + 1, 0];
        open += chunk.size;
        if (endsLayer(chunk, target)) [layers, open] = [layers + 1, 0];
      }
      expect(layers).toBeLessThan(maxManifestLayers);
    }
  });
});
