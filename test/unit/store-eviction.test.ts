import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import {
  chooseVictims,
  shortageOf,
  type Usage,
  type Watermarks,
} from "../../src/store/eviction.ts";
import type { StoredRecord } from "../../src/store/model-record.ts";
import { originOf } from "../../src/store/store-paths.ts";

const usage: Usage = { bytes: 1000, freeBytes: 300, freeInodes: 50 };

describe("watermarks", () => {
  test.each<[what: string, watermarks: Watermarks, bytes: number, files: number]>([
    ["none", {}, 0, 0],
    ["bytes below high", { bytes: { high: 1001, low: 1 } }, 0, 0],
    ["bytes at high", { bytes: { high: 1000, low: 1 } }, 0, 0],
    ["bytes above high", { bytes: { high: 999, low: 400 } }, 600, 0],
    ["free bytes at low", { freeBytes: { high: 900, low: 300 } }, 0, 0],
    ["free bytes below low", { freeBytes: { high: 900, low: 301 } }, 600, 0],
    ["free inodes at low", { freeInodes: { high: 90, low: 50 } }, 0, 0],
    ["free inodes below low", { freeInodes: { high: 90, low: 51 } }, 0, 40],
    [
      "several: the most is asked for, those not crossed ask for nothing",
      {
        bytes: { high: 900, low: 800 },
        freeBytes: { high: 450, low: 400 },
        freeInodes: { high: 90, low: 1 },
      },
      200,
      0,
    ],
  ])("%s", (_, watermarks, bytes, files) => {
    expect(shortageOf(watermarks, usage)).toEqual({ bytes, files });
  });

  test("of which the low one is above the high one are refused", () => {
    for (const name of ["bytes", "freeBytes", "freeInodes"] as const)
      expect(() => shortageOf({ [name]: { high: 1, low: 2 } }, usage)).toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
  });
});

describe("victims", () => {
  const [first, second, third] = [record(1), record(2), record(3)];
  const needs = new Map([
    [third, new Set(["c", "shared"])],
    [first, new Set(["a", "shared"])],
    [second, new Set(["b1", "b2"])],
  ]);
  const sizes = new Map(Object.entries({ a: 10, b1: 20, b2: 20, c: 40, shared: 100 }));
  const choose = (shortage: { bytes: number; files: number }, candidates = [...needs.keys()]) =>
    chooseVictims(needs, candidates, { shortage, sizes });

  test.each<[what: string, bytes: number, files: number, victims: StoredRecord[]]>([
    ["none where nothing is short", 0, 0, []],
    ["the least recently used one, when that is enough", 10, 1, [first]],
    ["more, until the bytes are enough", 11, 0, [first, second]],
    ["more, until the files are enough", 0, 2, [first, second]],
    [
      "both of two that share a file, whose bytes only the second gives",
      51,
      0,
      [first, second, third],
    ],
    ["all, when all is not enough", 1000, 0, [first, second, third]],
  ])("are %s", (_, bytes, files, victims) => {
    expect(choose({ bytes, files })).toEqual(victims);
  });

  test("are candidates only", () => {
    expect(choose({ bytes: 1000, files: 0 }, [third, second])).toEqual([second, third]);
  });
});

function record(day: number): StoredRecord {
  const digest = digestOf(`model ${day}`);
  return {
    origin: originOf("registry.example.com/team/model"),
    manifest: digest,
    index: digest,
    treeId: "",
    bytes: 0,
    files: 0,
    tags: [],
    pinned: false,
    lastUsed: new Date(2026, 0, day),
  };
}
