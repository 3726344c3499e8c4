import { describe, expect, test } from "vitest";
import { checkContentLimits } from "../../src/oci/limits.ts";
import { layerCount, layerTarget, maxLayerBytes } from "../../src/pack/layer-rules.ts";

const thing = { name: "registry.example.com/team/model", what: "the model" };
const size = { layers: 480, largestBlobBytes: 20_000, manifestBytes: 3000 };

describe("limits of content", () => {
  test.each([
    [{ maxLayers: 400 }, "480 layers; registry.example.com/team/model takes 400 (profile x)"],
    [
      { maxBlobBytes: 19_999 },
      "a blob of 20000 bytes; registry.example.com/team/model takes blobs",
    ],
    [{ maxManifestBytes: 2999 }, "a manifest of 3000 bytes; registry.example.com/team/model takes"],
  ])("%j are REGISTRY_LIMIT with the bound and who states it", (limits, message) => {
    expect(() =>
      checkContentLimits({ source: "profile x", ...limits }, { ...thing, ...size }),
    ).toThrow(
      expect.objectContaining({
        code: "REGISTRY_LIMIT",
        message: expect.stringContaining(`the model needs ${message}`) as unknown,
      }) as Error,
    );
  });

  test("let pass what is just within them, and everything where there are none", () => {
    const limits = { maxLayers: 480, maxBlobBytes: 20_000, maxManifestBytes: 3000 };
    checkContentLimits({ source: "profile x", ...limits }, { ...thing, ...size });
    const huge = { layers: 1e6, largestBlobBytes: 1e15, manifestBytes: 1e9 };
    expect(checkContentLimits({ source: "nobody" }, { ...thing, ...huge })).toBeUndefined();
  });
});

describe("layers for a registry that takes less", () => {
  const TiB = 1024 ** 4;

  test("are what they are elsewhere as long as they fit", () => {
    for (const total of [1, 10 ** 9, TiB])
      expect(layerTarget(total, { maxLayers: 500, maxBlobBytes: 52_000 * 1024 ** 2 })).toBe(
        layerTarget(total),
      );
    expect(layerCount({ maxLayers: 500 })).toBe(400);
  });

  test("are smaller, and more, where it takes no such blobs", () => {
    expect(maxLayerBytes(layerTarget(2 * TiB))).toBeGreaterThan(10 ** 10);
    expect(maxLayerBytes(layerTarget(2 * TiB, { maxBlobBytes: 10 ** 10 }))).toBe(8 * 1024 ** 3);
  });

  test("are larger, and fewer, where it takes fewer", () => {
    const target = layerTarget(TiB / 4, { maxLayers: 127 });
    expect(target).toBeGreaterThan(layerTarget(TiB / 4));
    expect(TiB / 4 / target).toBeLessThanOrEqual(0.64 * 127);
  });
});
