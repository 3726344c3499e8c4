import { describe, expect, test } from "vitest";
import { judgeAnswer, keepsAlive } from "../../src/transfer/socket/plain-answer.ts";
import {
  maxHeadBytes,
  parseResponseHead,
  type ResponseHead,
} from "../../src/transfer/socket/response-head.ts";

const parse = (text: string) => parseResponseHead(Buffer.from(text, "latin1"));

describe("a response head", () => {
  test("is status and fields, names in lower case, values trimmed, and what it is long", () => {
    const text = "HTTP/1.1 206 Partial Content\r\nContent-Length: \t5 \r\nX-Odd:\r\n\r\n";
    expect(parse(`${text}bytes`)).toEqual({
      status: 206,
      fields: new Map([
        ["content-length", "5"],
        ["x-odd", ""],
      ]),
      byteLength: text.length,
    });
  });

  test("needs no reason and no fields", () => {
    expect(parse("HTTP/1.1 200\r\n\r\n")).toMatchObject({ status: 200, byteLength: 16 });
  });

  test("joins the values of a repeated field", () => {
    const head = parse("HTTP/1.1 200 OK\r\nVia: a\r\nvia: b\r\n\r\n");
    expect(head).toMatchObject({ fields: new Map([["via", "a, b"]]) });
  });

  test("is incomplete until its empty line is there", () => {
    const whole = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for (let length = 0; length < whole.length; length += 1)
      expect(parse(whole.slice(0, length))).toBe("incomplete");
  });

  test.each([
    ["another version", "HTTP/1.0 200 OK\r\n\r\n"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["no status", "HTTP/1.1 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["line ends without CR", "HTTP/1.1 200 OK\nA: b\n\r\n\r\n"],
    ["a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
    ["a space before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n"],
    ["a line without colon", "HTTP/1.1 200 OK\r\nA\r\n\r\n"],
    ["a field without name", "HTTP/1.1 200 OK\r\n: b\r\n\r\n"],
    ["a NUL in a value", "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n"],
    ["no end within 64 KiB", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(maxHeadBytes)}`],
    ["an end behind 64 KiB", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(maxHeadBytes)}\r\n\r\n`],
  ])("is malformed with %s", (_, text) => {
    expect(parse(text)).toBe("malformed");
  });
});

const range = { offset: 100, length: 50 };
const plain = { "content-length": "50", "content-range": "bytes 100-149/1000" };

function head(status: number, fields: Readonly<Record<string, string>>): ResponseHead {
  return { status, fields: new Map(Object.entries(fields)), byteLength: 0 };
}

describe("the answer to a range", () => {
  test.each([
    ["206 with the range", 206, plain],
    ["a size that is not known", 206, { ...plain, "content-range": "bytes 100-149/*" }],
    ["identity named", 206, { ...plain, "content-encoding": "Identity" }],
  ])("is the range with %s", (_, status, fields) => {
    expect(judgeAnswer(head(status, fields), range)).toBe("range");
  });

  test("is the range with 200 when that is all of the content", () => {
    const whole = { offset: 0, length: 50 };
    expect(judgeAnswer(head(200, { "content-length": "50" }), whole)).toBe("range");
  });

  test.each([
    ["200 for a range further on", 200, { "content-length": "50" }],
    ["200 with more", 200, { "content-length": "150" }],
    ["no length", 206, { "content-range": "bytes 100-149/1000" }],
    ["two lengths", 206, { ...plain, "content-length": "50, 50" }],
    ["another length", 206, { ...plain, "content-length": "49" }],
    ["another start", 206, { ...plain, "content-range": "bytes 99-149/1000" }],
    ["another end", 206, { ...plain, "content-range": "bytes 100-150/1000" }],
    ["no Content-Range", 206, { "content-length": "50" }],
    ["chunks", 206, { ...plain, "transfer-encoding": "chunked" }],
    ["an encoding", 206, { ...plain, "content-encoding": "gzip" }],
    ["a redirect", 307, { location: "/elsewhere", "content-length": "50" }],
    ["another protocol", 101, {}],
    ["no content", 204, {}],
    ["an error", 503, plain],
  ])("is something else with %s", (_, status, fields) => {
    expect(judgeAnswer(head(status, fields), range)).toBe("other");
  });

  test("may come after interim ones", () => {
    expect(judgeAnswer(head(103, { link: "</a>" }), range)).toBe("interim");
  });

  test.each([
    ["", true],
    ["keep-alive", true],
    ["close", false],
    ["Upgrade, Close", false],
  ])("with Connection %j keeps the connection: %s", (connection, keeps) => {
    expect(keepsAlive(head(206, { ...plain, connection }))).toBe(keeps);
  });
});
