import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  caseCollisions,
  checkModelPaths,
  comparePaths,
  maxPathBytes,
  pathProblem,
  quotePath,
} from "../../src/core/model-path.ts";

describe("a path of a model", () => {
  test.each([
    "config.json",
    "a/b/c",
    ".hidden",
    "...",
    "a b",
    " ",
    "new\nline",
    "quo\"te's",
    "back\\slash",
    "C:\\x",
    "é",
    "模型/重み",
    "नमूना",
    "נתונים",
    "🦙.gguf",
    "x".repeat(255),
    "ß".repeat(127),
    Array.from({ length: 64 }, () => "d").join("/"),
  ])("%j is fine", (path) => {
    expect(pathProblem(path)).toBeUndefined();
  });

  test.each([
    ["", "is empty"],
    ["/etc/passwd", "is absolute"],
    ["/", "is absolute"],
    ["..", 'has a ".." segment'],
    ["a/../b", 'has a ".." segment'],
    ["./a", 'has a "." segment'],
    ["a//b", "has an empty segment"],
    ["a/", "has an empty segment"],
    ["a\0b", "has a NUL byte"],
    ["e\u0301", "is not in Unicode NFC form"],
    ["a\ud800", "is not valid Unicode"],
    ["x".repeat(256), "has a name longer than 255 bytes"],
    ["ß".repeat(128), "has a name longer than 255 bytes"],
    [`${"x/".repeat(maxPathBytes / 2)}x`, "is longer than 3072 bytes"],
    // Normalizing it first would take minutes.
    [`a${"\u0315\u0300".repeat(400_000)}`, "is longer than 3072 bytes"],
    [Array.from({ length: 65 }, () => "d").join("/"), "is deeper than 64 folders"],
  ])("%j is refused", (path, problem) => {
    expect(pathProblem(path)).toBe(problem);
    expect(() => checkModelPaths(["fine", path], "the index")).toThrow(
      expect.objectContaining({ code: "INVALID_PATH" }),
    );
  });
});

describe("the paths of a model", () => {
  test.each([
    [["a", "b", "a"], 'path "a" in the index is there twice'],
    [["a/b", "a"], 'path "a" in the index is both a file and a folder'],
    [["x/a", "x/a/b/c/d"], 'path "x/a" in the index is both a file and a folder'],
  ])("%j cannot live together", (paths, message) => {
    expect(() => checkModelPaths(paths, "the index")).toThrow(message);
  });

  test.each([[[]], [["a", "b/a", "b/c/a"]], [["a", "ab/c", "a.b"]]])("%j can", (paths) => {
    expect(() => checkModelPaths(paths, "the index")).not.toThrow();
  });

  test("that differ in case only are found", () => {
    expect(caseCollisions(["A/x", "a/x", "b", "ä", "Ä"])).toEqual([
      ["A/x", "a/x"],
      ["ä", "Ä"],
    ]);
    expect(caseCollisions(["a", "b"])).toEqual([]);
  });

  test("are ordered by their UTF-8 bytes, whatever the locale", () => {
    const paths = ["b", "ä", "a/b", "a", "a-b", "B", "\u{1f999}", "\uff5e"];
    const sorted = ["B", "a", "a-b", "a/b", "b", "ä", "\uff5e", "\u{1f999}"];
    expect(paths.toSorted(comparePaths)).toEqual(sorted);
  });

  test("have one order", () => {
    const path = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(path, path, (a, b) => {
        expect(comparePaths(a, b)).toBe(-comparePaths(b, a) + 0);
      }),
    );
  });

  test("are shown on one line, long ones cut", () => {
    expect(quotePath("a\nb\u001b[31m")).toBe('"a\\nb\\u001b[31m"');
    expect(quotePath("x".repeat(500))).toBe(`"${"x".repeat(200)}..."`);
  });
});
