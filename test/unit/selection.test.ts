import { describe, expect, test } from "vitest";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { createPathFilter, selectionId, selectionKey } from "../../src/core/selection.ts";

const paths = [
  "README.md",
  ".gitattributes",
  "config.json",
  "onnx/config.json",
  "onnx/model.onnx",
  "model-00001-of-00002.safetensors",
  "a[1].bin",
];
const choose = (include?: string[], exclude?: string[]) =>
  paths.filter(createPathFilter({ include, exclude }));

describe("a selection", () => {
  test("without globs is everything", () => {
    expect(choose()).toEqual(paths);
    expect(choose([], [])).toEqual(paths);
  });

  test.each([
    [["*.json"], ["config.json", "onnx/config.json"]],
    [["onnx/*.json"], ["onnx/config.json"]],
    [["onnx/"], ["onnx/config.json", "onnx/model.onnx"]],
    [["./config.json"], ["config.json", "onnx/config.json"]],
    [
      ["*.safetensors", "README.md"],
      ["README.md", "model-00001-of-00002.safetensors"],
    ],
    [["*attributes"], [".gitattributes"]],
    [["**/*.onnx"], ["onnx/model.onnx"]],
    [["nothing"], []],
  ])("of %j has %j", (include, expected) => {
    expect(choose(include)).toEqual(expected);
  });

  test("leaves out what is excluded, even if it is included too", () => {
    expect(choose(["*.json"], ["onnx/"])).toEqual(["config.json"]);
    expect(choose(undefined, ["*"])).toEqual([]);
  });

  test("refuses an empty glob", () => {
    expect(() => createPathFilter({ include: [""] })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test("has a name that depends on the paths alone", () => {
    expect(selectionId(paths, paths)).toBe("all");
    const name = selectionId(["b", "a"], paths);
    expect(name).toBe(digestHex(digestOf("a\0b")));
    expect(selectionId(["a", "b"], paths)).toBe(name);
    expect(selectionId(["a"], paths)).not.toBe(name);
  });
});

describe("the key of a selection", () => {
  const some = { include: ["*.json", "*.bin"], exclude: ["onnx/"] };

  test.each([
    ["another order", some, { ...some, include: ["*.bin", "*.json"] }],
    ["a glob twice", some, { ...some, include: ["*.bin", "*.json", "*.bin"] }],
    ["empty lists for none", {}, { include: [], exclude: [] }],
  ])("is the same with %s", (_, one, other) => {
    expect(selectionKey(other)).toBe(selectionKey(one));
  });

  test.each([
    ["another glob", { ...some, include: ["*.json"] }],
    ["included and excluded exchanged", { include: some.exclude, exclude: some.include }],
    ["globs joined", { ...some, include: ["*.json,*.bin"] }],
    ["nothing chosen", {}],
  ])("differs with %s", (_, other) => {
    expect(selectionKey(other)).not.toBe(selectionKey(some));
  });
});
