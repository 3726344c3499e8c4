import { describe, expect, test } from "vitest";
import {
  askedFor,
  type PartialChanges,
  partial,
  partialHead,
  type RawAnswer,
} from "../../support/raw-answers.ts";
import { mostRequests } from "./stage.ts";
import { type HttpRangeSuite, overBoth } from "./suite.ts";

const byName = (from: RegExp, to: string) => (head: string) => head.replace(from, to);

/** Spellings that mean the same as a plain head. */
const readable: [string, PartialChanges][] = [
  [
    "names in capitals",
    { edit: (head) => head.replace(/^[\w-]+(?=:)/gm, (name) => name.toUpperCase()) },
  ],
  [
    "names in lower case",
    { edit: (head) => head.replace(/^[\w-]+(?=:)/gm, (name) => name.toLowerCase()) },
  ],
  ["no space after the colon", { edit: (head) => head.replaceAll(": ", ":") }],
  ["spaces and tabs in front of values", { edit: byName(/: (.*)\r\n/g, ": \t  $1\r\n") }],
  ["no reason", { line: "HTTP/1.1 206 " }],
  ["a reason of many words, not ASCII", { line: "HTTP/1.1 206 Inhalt, \xe4 teilweise" }],
  ["bytes above 127", { lines: ["X-Name: \xff\xfe\x80"] }],
  ["an empty value", { lines: ["X-Empty:", "Server: "] }],
  ["many fields", { lines: Array.from({ length: 100 }, (_, at) => `X-${at}: ${"v".repeat(80)}`) }],
  ["a Content-Encoding of identity", { lines: ["Content-Encoding: Identity"] }],
  ["an empty Content-Encoding", { lines: ["Content-Encoding:"] }],
  ["a Content-Range of unknown size", { edit: byName(/\/\d+\r\n/, "/*\r\n") }],
  ["a Content-Range in capitals", { edit: byName(/bytes /, "BYTES ") }],
];

/** Heads that some read and others must not: never other bytes than the right ones. */
const doubtful: [string, PartialChanges][] = [
  ["spaces and tabs behind values", { edit: byName(/: (.*)\r\n/g, ": $1 \t \r\n") }],
  ["no reason and no space before it", { line: "HTTP/1.1 206" }],
  ["lines that end without CR", { edit: (head) => head.replaceAll("\r\n", "\n") }],
  ["a line folded onto the next", { lines: ["X-Folded: one", " two", "\tthree"] }],
  ["a space before the colon", { edit: byName(/Content-Range:/, "Content-Range :") }],
  ["a NUL", { lines: ["X-Nul: a\0b"] }],
  ["a control character", { lines: ["X-Bell: a\x07b"] }],
  ["a CR inside a value", { lines: ["X-Return: a\rb"] }],
  ["a line without a colon", { lines: ["nonsense"] }],
  ["a field without a name", { lines: [": value"] }],
  ["a Content-Length twice, the same", { edit: byName(/(Content-Length: \d+\r\n)/, "$1$1") }],
  ["a list of equal Content-Lengths", { edit: byName(/(Content-Length: )(\d+)/, "$1$2, $2") }],
  ["a Content-Length with a sign", { edit: byName(/Content-Length: /, "Content-Length: +") }],
  [
    "a Content-Length with zeros in front",
    { edit: byName(/Content-Length: /, "Content-Length: 000") },
  ],
  ["a Transfer-Encoding beside the Content-Length", { lines: ["Transfer-Encoding: chunked"] }],
  ["a Transfer-Encoding nobody knows", { lines: ["Transfer-Encoding: xyz"] }],
  ["a Transfer-Encoding of identity", { lines: ["Transfer-Encoding: identity"] }],
  ["HTTP/2.0 in words", { line: "HTTP/2.0 206 Partial Content" }],
  ["HTTP/1.2", { line: "HTTP/1.2 206 Partial Content" }],
  ["a status of four digits", { line: "HTTP/1.1 2066 Partial Content" }],
  ["an empty line in front", { line: "\r\nHTTP/1.1 206 Partial Content" }],
  ["Connection: upgrade", { lines: ["Connection: upgrade", "Upgrade: websocket"] }],
];

/** Heads that say two things at once, or nothing. */
const unreadable: [string, PartialChanges][] = [
  [
    "two Content-Lengths that differ, the right one first",
    { edit: byName(/(Content-Length: \d+\r\n)/, "$1Content-Length: 5\r\n") },
  ],
  [
    "two Content-Lengths that differ, the right one last",
    { edit: byName(/(Content-Length: \d+\r\n)/, "Content-Length: 5\r\n$1") },
  ],
  ["a Content-Length that is no number", { length: "many" }],
  ["a Content-Length below zero", { length: -1 }],
  ["another protocol", { edit: () => "SSH-2.0-server\r\n\r\n" }],
  ["nothing but zeros", { edit: () => "\0".repeat(200) }],
];

/** Interim answers in front of the final one (RFC 9110 15.2). */
function after(interim: string): RawAnswer {
  return async (reply, request) => {
    await reply.send(interim);
    await partial()(reply, request);
  };
}

const hints =
  "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 7\r\n\r\n";

/** Heads of answers, spelled in every way. */
export function describeHeads(suite: HttpRangeSuite): void {
  describe("a head", () => {
    test.each(readable)("with %s is read", async (_, changes) => {
      await using stage = await suite.open();
      stage.server.otherwise = partial(changes);
      await stage.read();
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(4);
    });

    test.each(doubtful)("with %s gives the right bytes or none", async (_, changes) => {
      await using stage = await suite.open();
      stage.server.otherwise = partial({ ...changes, close: true });
      const failure = await stage.attempt();
      expect(["REGISTRY_PROTOCOL", "REGISTRY_UNAVAILABLE", undefined]).toContain(failure?.code);
      expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
    });

    test.each(unreadable)("with %s is refused", async (_, changes) => {
      await using stage = await suite.open();
      stage.server.otherwise = partial({ ...changes, close: true });
      const { code } = await stage.refused();
      expect(["REGISTRY_PROTOCOL", "REGISTRY_UNAVAILABLE"]).toContain(code);
      expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
    });

    test.each([
      ["103", hints],
      ["102", "HTTP/1.1 102 Processing\r\n\r\n"],
      ["several", `HTTP/1.1 102 Processing\r\n\r\n${hints}${hints}`],
    ])("behind interim answers (%s) is read", async (_, interim) => {
      await using stage = await suite.open();
      stage.server.otherwise = after(interim);
      await stage.read();
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(4);
    });

    test.each([
      ["100, which nobody asked for", "HTTP/1.1 100 Continue\r\n\r\n"],
      ["101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    ])("behind %s gives the right bytes or none", async (_, interim) => {
      await using stage = await suite.open();
      stage.server.otherwise = after(interim);
      const failure = await stage.attempt();
      expect(["REGISTRY_PROTOCOL", "REGISTRY_UNAVAILABLE", undefined]).toContain(failure?.code);
      expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
    });
  });

  overBoth(suite, "a head in pieces", (open) => {
    test("of one byte each is read", async () => {
      await using stage = await open();
      stage.server.otherwise = async (reply, request) => {
        for (const byte of Buffer.from(partialHead(request))) await reply.send(Buffer.of(byte));
        await reply.send(askedFor(request));
      };
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(2);
    });

    test.each([1, 2, 3])("cut %d bytes before its end is read", async (bytes) => {
      await using stage = await open();
      stage.server.otherwise = async (reply, request) => {
        const head = Buffer.from(partialHead(request));
        await reply.send(head.subarray(0, -bytes));
        await reply.send(Buffer.concat([head.subarray(-bytes), askedFor(request)]));
      };
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(2);
    });
  });
}
