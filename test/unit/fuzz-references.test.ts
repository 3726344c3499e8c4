import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDigest } from "../../src/core/digest.ts";
import { pathProblem } from "../../src/core/model-path.ts";
import {
  formatReference,
  isRepository,
  isTag,
  parseReference,
  repositoryName,
} from "../../src/core/reference.ts";
import { registryOrigin } from "../../src/registry/client/endpoint.ts";
import { fuzzRuns, mutated, parsedOrRefused } from "../support/fuzz.ts";

const digest = `sha256:${"a".repeat(64)}`;
const originals = [
  `registry.example.com:5000/team/model:v1@${digest}`,
  "localhost/a__b.c-d:latest",
  "[::1]:5000/x",
  `oci:./a/../b:v1@${digest}`,
  "oci:/tmp/x:y/z",
] as const;
const tokens = [
  "@",
  "@sha256:",
  ":",
  "/",
  "//",
  "..",
  "oci:",
  "https://",
  "\\",
  "%2e",
  " ",
  digest,
];

const texts = fc.oneof(
  { arbitrary: mutated(originals, tokens).map((bytes) => bytes.toString()), weight: 5 },
  fc.string({ unit: "binary", maxLength: 300 }),
);

describe("whatever somebody types", () => {
  test("a reference reads back as it is written, or is refused", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const read = parsedOrRefused(() => parseReference(text), "INVALID_REFERENCE");
        if (read === undefined) return;
        expect(parseReference(formatReference(read))).toEqual(read);
        if (read.kind === "layout") return;
        expect(isRepository(read.repository)).toBe(true);
        expect(read.tag === undefined || isTag(read.tag)).toBe(true);
        expect(repositoryName(read)).toBe(`${read.host}/${read.repository}`);
        const origin = parsedOrRefused(() => registryOrigin(read.host, false), "INVALID_ARGUMENT");
        if (origin !== undefined) expect(origin.pathname + origin.search).toBe("/");
      }),
      fuzzRuns(5000),
    );
  });

  test("a host is one, or is refused", () => {
    const hosts = mutated(
      ["registry.example.com:5000", "[::1]", "docker.io"],
      ["@", "#", "?", "/"],
    );
    fc.assert(
      fc.property(hosts, (bytes) => {
        const origin = parsedOrRefused(
          () => registryOrigin(bytes.toString(), true),
          "INVALID_ARGUMENT",
        );
        if (origin === undefined) return;
        expect(`${origin.username}${origin.password}${origin.search}${origin.hash}`).toBe("");
        expect(origin.pathname).toBe("/");
      }),
      fuzzRuns(3000),
    );
  });

  test("a digest is one, or is refused", () => {
    fc.assert(
      fc.property(mutated([digest]), (bytes) => {
        const text = bytes.toString();
        const read = parsedOrRefused(() => parseDigest(text), "INVALID_REFERENCE");
        expect(read ?? text).toBe(text);
        expect(read !== undefined).toBe(/^sha256:[0-9a-f]{64}$/.test(text) && !text.endsWith("\n"));
      }),
      fuzzRuns(2000),
    );
  });
});

const pieces = [
  "a",
  "a.",
  "a-",
  "a/",
  "A",
  "/",
  ":",
  "@",
  ".",
  "[",
  "[::",
  "\0",
  "-",
  "a__",
  "\u0315\u0300",
];

test.each(pieces)("a reference of many %j is read or refused in good time", (piece) => {
  const long = piece.repeat(1_000_000);
  for (const text of [
    long,
    `${long}!`,
    `h.example/${long}`,
    `oci:${long}`,
    `h.example/a:${long}`,
  ]) {
    const read = parsedOrRefused(() => parseReference(text), "INVALID_REFERENCE");
    expect(read?.tag?.length ?? 0).toBeLessThanOrEqual(128);
    expect(pathProblem(text)).toBeDefined();
  }
});
