import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseChallenges } from "../../src/registry/client/auth/challenge.ts";
import { requestToken } from "../../src/registry/client/auth/token.ts";
import { parseContentRange } from "../../src/registry/client/content-range.ts";
import { oneLine, readRegistryErrors } from "../../src/registry/client/http/answer.ts";
import { parseRetryAfter } from "../../src/registry/client/http/retry.ts";
import type { Wire } from "../../src/registry/client/http/wire.ts";
import { nextPage } from "../../src/registry/client/pages.ts";
import { parseChunkRange, parseRange } from "../../src/registry/server/range.ts";
import { maxHeadBytes, parseResponseHead } from "../../src/transfer/socket/response-head.ts";
import { fuzzRuns, mutated, mutatedJson, parsedOrRefused } from "../support/fuzz.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
/** Texts near the originals, and far from them. */
const texts = (...originals: [string, ...string[]]) =>
  fc.oneof(
    {
      arbitrary: mutated(originals, [",", ";", '"', "\\", "\t", " ", "=", "-", "*"]).map(text),
      weight: 5,
    },
    fc.string({ unit: "binary", maxLength: 200 }),
  );

const head =
  "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/20\r\n" +
  'Content-Type: application/octet-stream\r\nETag: "x"\r\n\r\n';
const heads = fc.oneof(
  {
    arbitrary: mutated([head, "HTTP/1.1 200\r\n\r\n"], ["HTTP/1.1 ", "\r\n\r\n", "\n", ":"]),
    weight: 5,
  },
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);

describe("the head of a response", () => {
  test("is read in full, or not at all, whatever the bytes are", () => {
    fc.assert(
      fc.property(heads, fc.uint8Array({ maxLength: 50 }), fc.nat(), (bytes, more, cut) => {
        const read = parseResponseHead(bytes);
        if (typeof read === "string") {
          expect(read === "malformed" || !bytes.includes("\r\n\r\n")).toBe(true);
          return;
        }
        const { status, fields, byteLength } = read;
        expect(status >= 100 && status <= 999).toBe(true);
        expect(bytes.toString("latin1", byteLength - 4, byteLength)).toBe("\r\n\r\n");
        for (const [name, value] of fields) {
          expect(name).toMatch(/^[!-9;-~]+$/);
          expect(name).toBe(name.toLowerCase());
          expect(value).not.toMatch(/[\0\r\n]/);
        }
        const whole = bytes.subarray(0, byteLength);
        expect(parseResponseHead(Buffer.concat([whole, more]))).toEqual(read);
        expect(parseResponseHead(whole.subarray(0, cut % byteLength))).toBe("incomplete");
      }),
      fuzzRuns(5000),
    );
  });

  test("gives back what was written", () => {
    const name = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/);
    const value = fc.stringMatching(
      /^(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]{0,40}[!-~\x80-\xff])?)?$/,
    );
    const field = fc.tuple(name, value, fc.constantFrom("", " ", "\t ", "   "));
    fc.assert(
      fc.property(fc.array(field), fc.integer({ min: 100, max: 999 }), (fields, status) => {
        const lines = fields.map(([key, each, space]) => `${key}:${space}${each}${space}\r\n`);
        const written = Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`, "latin1");
        const read = parseResponseHead(written);
        const expected = Map.groupBy(fields, ([key]) => key.toLowerCase());
        expect(read).toEqual({
          status,
          byteLength: written.byteLength,
          fields: new Map(
            [...expected].map(([key, all]) => [key, all.map(([, each]) => each).join(", ")]),
          ),
        });
      }),
      fuzzRuns(1000),
    );
  });

  test.each([
    ["nothing but letters", "x"],
    ["nothing but line feeds", "\n"],
    ["one field after the other", "a:b\r\n"],
    ["spaces", " "],
    ["colons", ":"],
  ])("is not read on and on when it is %s", (_, piece) => {
    const bytes = Buffer.from(head.slice(0, 20) + piece.repeat(4_000_000 / piece.length));
    expect(parseResponseHead(bytes)).toBe("malformed");
    expect(parseResponseHead(bytes.subarray(0, maxHeadBytes - 1))).not.toBeTypeOf("object");
  });
});

describe("whatever a header says", () => {
  test("challenges are no longer than it", () => {
    const originals = [
      'Bearer realm="https://a.example.com/token",service="x",scope="repository:a:pull,push"',
      'Basic realm="a, b", Negotiate YWJj==, Digest nonce="\\"", qop=auth',
    ] as const;
    fc.assert(
      fc.property(texts(...originals), (value) => {
        const challenges = parseChallenges(value);
        const length = challenges
          .flatMap(({ scheme, parameters }) => [scheme, ...[...parameters].flat()])
          .reduce((sum, each) => sum + each.length, 0);
        expect(length).toBeLessThanOrEqual(value.length);
        for (const { scheme, parameters } of challenges)
          for (const name of [scheme, ...parameters.keys()])
            expect(name).toMatch(/^[!#$%&'*+\-.^_`|~0-9a-z]+$/);
      }),
      fuzzRuns(5000),
    );
  });

  test("a Content-Range is bytes of a whole, or none", () => {
    fc.assert(
      fc.property(texts("bytes 0-9/10", "bytes 5-9/*", "bytes */10"), (value) => {
        const read = parseContentRange(value);
        if (read === undefined) return;
        const { first, last, size } = read;
        expect(first === undefined).toBe(last === undefined);
        expect((first ?? 0) <= (last ?? 0)).toBe(true);
        if (last !== undefined && size !== undefined) expect(last).toBeLessThan(size);
        for (const number of [first, last, size])
          expect(Number.isSafeInteger(number ?? 0)).toBe(true);
      }),
      fuzzRuns(5000),
    );
  });

  test("a Range lies in the content, or is none", () => {
    const sizes = fc.oneof(fc.nat(20), fc.maxSafeNat());
    fc.assert(
      fc.property(texts("bytes=0-9", "bytes=5-", "bytes=-7"), sizes, (value, size) => {
        const read = parseRange(value, size);
        if (typeof read === "string") return;
        expect(read.length).toBeGreaterThan(0);
        expect(read.offset).toBeGreaterThanOrEqual(0);
        expect(read.offset + read.length).toBeLessThanOrEqual(size);
        expect(Number.isSafeInteger(read.offset + read.length)).toBe(true);
      }),
      fuzzRuns(5000),
    );
    fc.assert(
      fc.property(texts("0-9", "100-200"), (value) => {
        const read = parseChunkRange(value);
        if (read !== undefined) expect(read.first).toBeLessThanOrEqual(read.last);
      }),
      fuzzRuns(2000),
    );
  });

  test("a Retry-After is a time to wait, or none", () => {
    const originals = ["120", "Wed, 21 Oct 2026 07:28:00 GMT"] as const;
    fc.assert(
      fc.property(texts(...originals), (value) => {
        const waitMs = parseRetryAfter(value, Date.now());
        expect(Number.isFinite(waitMs ?? 0) && (waitMs ?? 0) >= 0).toBe(true);
      }),
      fuzzRuns(3000),
    );
  });

  test("the next page is a URL, or none", () => {
    const base = new URL("https://registry.example.com/v2/a/tags/list");
    const originals = [
      '</v2/a/tags/list?last=b>; rel="next"',
      "<http://[bad>; rel=next",
      "<x>; rel=prev, <y>;rel=next",
    ] as const;
    fc.assert(
      fc.property(texts(...originals), (value) => {
        expect(nextPage(value, base)?.href ?? "none").toMatch(/^(?:none$|[a-z][a-z0-9+.-]*:)/);
      }),
      fuzzRuns(3000),
    );
  });

  test("a foreign text is one line without secrets", () => {
    const original = "see\r\n https://user:pw@x.example.com/a?sig=secret now";
    fc.assert(
      fc.property(texts(original), (value) => {
        const line = oneLine(value);
        expect(line.length).toBeLessThanOrEqual(300);
        expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(line).not.toMatch(/\?[^\s"'<>)]/);
        expect(line).not.toMatch(/\w:\/\/[^\s/@]*@/);
      }),
      fuzzRuns(5000),
    );
  });
});

/** An answer with this body. */
function answerOf(bytes: Uint8Array) {
  const url = new URL("https://registry.example.com/v2/");
  return { status: 200, headers: {}, body: Readable.from([bytes]), url };
}

describe("whatever a registry answers", () => {
  test("its errors are a few lines of text", async () => {
    const original = { errors: [{ code: "DENIED", message: "no", detail: { a: [1] } }] };
    const bodies = fc.oneof(mutatedJson([original]), mutated([JSON.stringify(original)]));
    await fc.assert(
      fc.asyncProperty(bodies, async (bytes) => {
        for (const error of await readRegistryErrors(answerOf(bytes)))
          for (const part of [error.code, error.message, error.detail])
            expect(part).toMatch(/^[^\r\n\0]{0,300}$/);
      }),
      fuzzRuns(2000),
    );
  });

  test("a token is one that fits into a header, or none", async () => {
    const original = { token: "abc.def", access_token: "x", expires_in: 300, issued_at: "2026" };
    const bodies = fc.oneof(mutatedJson([original]), mutated([JSON.stringify(original)]));
    await fc.assert(
      fc.asyncProperty(bodies, async (bytes) => {
        const wire: Pick<Wire, "send"> = { send: () => Promise.resolve(answerOf(bytes)) };
        const realm = new URL("https://auth.example.com/token");
        const request = { realm, service: "x", scopes: [], credential: undefined, host: "r" };
        const asked = requestToken(wire as Wire, request);
        const token = await asked.catch((error: unknown) =>
          parsedOrRefused(() => {
            throw error;
          }, "REGISTRY_PROTOCOL"),
        );
        if (token === undefined) return;
        expect(token.value).toMatch(/^[!-~]+$/);
        expect(token.useUntilMs).toBeGreaterThan(Date.now() - 1000);
      }),
      fuzzRuns(2000),
    );
  });
});

/** As long as a header gets, of one thing again and again. */
const letters = ["a", " ", "\t", ",", '"', "\\", "=", "<", ">", ";", "?", "@", "9"];
const words = [
  "a=",
  'a="',
  '="',
  "a ,",
  ":/",
  "<a>;rel=",
  "x://",
  'rel="',
  "; rel",
  "9-",
  "B a=b ",
  "a://b@",
];

test.each([...letters, ...words])("headers of many %j are read in good time", (piece) => {
  for (const start of ["", "Basic ", 'Bearer realm="', "<", "bytes ", "bytes=", "x?"]) {
    const value = start + piece.repeat(16_384 / piece.length);
    expect(parseChallenges(value).length).toBeLessThan(value.length);
    expect(oneLine(value).length).toBeLessThanOrEqual(300);
    parseContentRange(value);
    parseRange(value, 100);
    parseRetryAfter(value, 0);
    nextPage(value, new URL("https://registry.example.com/"));
  }
});
