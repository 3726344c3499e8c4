import { describe, expect, test } from "vitest";
import { checkStructural, countRules } from "../support/examples/structural.ts";

const text = { type: "string" };
const schema = {
  type: "object",
  required: ["spec"],
  properties: {
    spec: {
      type: "object",
      required: ["size", "mode"],
      properties: {
        size: { type: "integer", minimum: 1 },
        mode: { type: "string", enum: ["Fast", "Slow"], default: "Fast" },
        share: { type: "number", minimum: 0, exclusiveMinimum: true },
        port: { "x-kubernetes-int-or-string": true },
        none: { type: "string", nullable: true },
        name: { type: "string", pattern: "^[a-z]+$", maxLength: 5 },
        labels: { type: "object", additionalProperties: text },
        closed: { type: "object" },
        open: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        either: {
          type: "object",
          properties: { a: text, b: text },
          oneOf: [{ required: ["a"] }, { required: ["b"] }],
        },
        items: {
          type: "array",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
          items: { type: "object", required: ["name"], properties: { name: text, value: text } },
        },
        tags: { type: "array", "x-kubernetes-list-type": "set", items: text },
      },
      "x-kubernetes-validations": [{ rule: "self.size < 10" }, { rule: "self.size > 0" }],
    },
  },
};
const rooted = { apiVersion: "example.com/v1", kind: "Thing", metadata: { name: "a" } };

function check(spec: unknown): string[] {
  const problems = checkStructural(schema, { ...rooted, spec });
  return problems.map(({ path, problem }) => `${path}: ${problem}`);
}

describe("a custom object", () => {
  test.each([
    ["the least there must be", { size: 1 }],
    ["a number for a port", { size: 1, port: 80 }],
    ["a name for a port", { size: 1, port: "http" }],
    ["null where it may be", { size: 1, none: null }],
    ["any key of a map", { size: 1, labels: { "a.b/c": "d" } }],
    ["anything where all is kept", { size: 1, open: { a: { b: [1] } } }],
    ["one of two", { size: 1, either: { b: "x" } }],
    ["items with names of their own", { size: 1, items: [{ name: "a" }, { name: "b" }] }],
  ])("can have %s", (_, spec) => {
    expect(check(spec)).toEqual([]);
  });

  test.each([
    ["an unknown field", { size: 1, sise: 2 }, "spec.sise: unknown field sise, did you mean size?"],
    [
      "a field in an object that keeps none",
      { size: 1, closed: { a: 1 } },
      "spec.closed.a: unknown",
    ],
    [
      "an unknown field in a list",
      { size: 1, items: [{ name: "a", vale: "b" }] },
      "spec.items[0].vale: unknown field vale, did you mean value?",
    ],
    ["a field missing", {}, "must have required property 'size'"],
    [
      "a field of a list missing",
      { size: 1, items: [{}] },
      "spec.items[0]: must have required property 'name'",
    ],
    ["another type", { size: "1" }, "spec.size: must be integer"],
    [
      "another word",
      { size: 1, mode: "fast" },
      "spec.mode: must be equal to one of the allowed values: Fast,Slow",
    ],
    ["too little", { size: 0 }, "spec.size: must be >= 1"],
    ["the bound itself where it is excluded", { size: 1, share: 0 }, "spec.share: must be > 0"],
    ["half a port", { size: 1, port: 0.5 }, "spec.port: must be integer,string"],
    ["null", { size: 1, name: null }, "spec.name: is null"],
    ["a text of another form", { size: 1, name: "A" }, "spec.name: must match pattern"],
    [
      "too long a text",
      { size: 1, name: "abcdef" },
      "spec.name: must NOT have more than 5 characters",
    ],
    [
      "a map with another type in it",
      { size: 1, labels: { a: 1 } },
      "spec.labels.a: must be string",
    ],
    [
      "both of two",
      { size: 1, either: { a: "x", b: "y" } },
      "spec.either: must match exactly one schema in oneOf",
    ],
    [
      "a name twice",
      { size: 1, items: [{ name: "a" }, { name: "a" }] },
      'spec.items[1]: stands twice: ["a"]',
    ],
    ["an element of a set twice", { size: 1, tags: ["a", "a"] }, 'spec.tags[1]: stands twice: "a"'],
  ])("cannot have %s", (_, spec, why) => {
    expect(check(spec)).toContainEqual(expect.stringContaining(why));
  });

  test("has its rules counted, not evaluated", () => {
    const value = { ...rooted, spec: { size: 11 } };
    expect(checkStructural(schema, value)).toEqual([]);
    expect(countRules(schema, value)).toBe(2);
    expect(countRules(schema, rooted)).toBe(0);
  });
});
