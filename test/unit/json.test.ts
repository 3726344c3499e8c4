import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJson } from "../../src/core/json.ts";

const limits = { maxBytes: 1000, what: "the index", code: "INVALID_INDEX" } as const;
const parse = (text: string | Buffer) => parseJson(Buffer.from(text), limits);

describe("a JSON document from outside", () => {
  test("is read", () => {
    expect(parse('{"a":[1,"}]{[",{"b\\"":null}]}')).toEqual({ a: [1, "}]{[", { 'b"': null }] });
  });

  test("reads back as it was written", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 20 }), (value) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const limit = { ...limits, maxBytes: 1_000_000 };
        expect(parseJson(bytes, limit)).toEqual(JSON.parse(bytes.toString()));
      }),
    );
  });

  test("may nest 32 levels deep, but not 33", () => {
    expect(parse("[".repeat(32) + "]".repeat(32))).toBeDefined();
    expect(() => parse("[".repeat(33) + "]".repeat(33))).toThrow("nests deeper than 32 levels");
    expect(() => parse('{"a":'.repeat(33))).toThrow("nests deeper than 32 levels");
  });

  test("counts no bracket in a string", () => {
    expect(parse(`["${"[{".repeat(100)}", "\\"${"[".repeat(100)}"]`)).toHaveLength(2);
  });

  test("is refused without being parsed when it is large", () => {
    expect(() => parse(`[${" ".repeat(999)}]`)).toThrow(
      "the index is 1001 bytes, more than the 1000 allowed",
    );
  });

  test.each(["[]", "{}", "0", '{"a":0}'])("is refused when it is large and made of %s", (value) => {
    const bytes = Buffer.from(`[${`${value},`.repeat(15_000_000 / (value.length + 1))}0]`);
    expect(() => parseJson(bytes, { ...limits, maxBytes: 16_000_000 })).toThrow(
      "the index holds too many values for its size",
    );
  });

  test.each([
    ["nothing", ""],
    ["half a document", '{"a":'],
    ["two documents", "{} {}"],
    ["a byte order mark", "\ufeff{}"],
    ["a comment", "{} // no"],
    ["bytes that are no UTF-8", Buffer.from([0x22, 0xff, 0x22])],
  ])("%s is refused", (_, text) => {
    expect(() => parse(text)).toThrow("the index is not valid JSON");
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "INVALID_INDEX" }));
  });
});
