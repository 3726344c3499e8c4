import fc from "fast-check";
import { expect, test } from "vitest";
import { parseChallenges } from "../../src/registry/client/auth/challenge.ts";

const read = (text: string | string[]) =>
  parseChallenges(text).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test.each<[string, string | string[], unknown]>([
  ["no parameters", "Negotiate", [["negotiate", {}]]],
  [
    "a plain bearer",
    'Bearer realm="https://r/t",service="s"',
    [["bearer", { realm: "https://r/t", service: "s" }]],
  ],
  [
    "commas in quoted strings",
    'Bearer scope="repository:a:pull,push",service="x"',
    [["bearer", { scope: "repository:a:pull,push", service: "x" }]],
  ],
  [
    "odd casing and spaces",
    'bEaReR  REALM = "r" ,  Service=s',
    [["bearer", { realm: "r", service: "s" }]],
  ],
  ["escaped quotes", 'Basic realm="say \\"hi\\", you"', [["basic", { realm: 'say "hi", you' }]]],
  [
    "two challenges in one header",
    'Basic realm="b", Bearer realm="r",service="s"',
    [
      ["basic", { realm: "b" }],
      ["bearer", { realm: "r", service: "s" }],
    ],
  ],
  [
    "two headers",
    ['Basic realm="b"', 'Bearer realm="r"'],
    [
      ["basic", { realm: "b" }],
      ["bearer", { realm: "r" }],
    ],
  ],
  [
    "a token68 before another",
    'Negotiate abc==, Basic realm="b"',
    [
      ["negotiate", {}],
      ["basic", { realm: "b" }],
    ],
  ],
  [
    "unquoted values with slashes",
    "Bearer realm=https://r/t?x=1",
    [["bearer", { realm: "https://r/t?x=1" }]],
  ],
  [
    "an unclosed quote after a good part",
    'Basic realm="b", Bearer realm="oops',
    [
      ["basic", { realm: "b" }],
      ["bearer", {}],
    ],
  ],
  ["the first of a repeated parameter", "Basic realm=a, realm=b", [["basic", { realm: "a" }]]],
  ["nothing", "", []],
  ["rubbish", ',,, "=', []],
])("reads %s", (_, text, expected) => {
  expect(read(text)).toEqual(expected);
});

test("what is written as challenges is read back", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  const challenge = fc.tuple(name, fc.dictionary(name, fc.string(), { minKeys: 1, maxKeys: 4 }));
  const quote = (value: string) => `"${value.replace(/[\\"]/g, "\\$&")}"`;
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
      const text = challenges
        .map(([scheme, parameters]) => {
          const pairs = Object.entries(parameters).map(([key, value]) => `${key}=${quote(value)}`);
          return `${scheme} ${pairs.join(", ")}`;
        })
        .join(", ");
      const expected = challenges.map(([scheme, parameters]) => [scheme, { ...parameters }]);
      expect(read(text)).toEqual(expected);
    }),
  );
});

test("any text is read in bounded time", () => {
  expect(read(`Basic ${"a=".repeat(50_000)}`).length).toBeLessThan(20_000);
  fc.assert(fc.property(fc.string(), (text) => void parseChallenges(text)));
});
