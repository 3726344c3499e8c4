import { describe, expect, test } from "vitest";
import {
  askedFor,
  chunked,
  partial,
  partialHead,
  type RawAnswer,
  whole,
} from "../../support/raw-answers.ts";
import { content, mostRequests } from "./stage.ts";
import { type HttpRangeSuite, overBoth } from "./suite.ts";

const inChunks = { length: false, lines: ["Transfer-Encoding: chunked"] } as const;

/** Ways to send the right bytes, whole or a part of them. */
const right: [string, RawAnswer][] = [
  ["all of the content, 200", whole()],
  [
    "all of the content, 200 with Connection: close",
    whole({ lines: ["Connection: close"], close: true }),
  ],
  ["all of the content until the connection ends", whole({ length: false, close: true })],
  ["all of the content in chunks", whole({ ...inChunks, body: chunked(content) })],
  ["all of it as HTTP/1.0 does", whole({ line: "HTTP/1.0 200 OK", length: false, close: true })],
  [
    "the range in chunks",
    (reply, request) => partial({ ...inChunks, body: chunked(askedFor(request)) })(reply, request),
  ],
  [
    "the range in chunks with extensions and trailers",
    (reply, request) => {
      const text = chunked(askedFor(request)).toString("latin1");
      const odd = text
        .replace(/^3e8\r\n/i, '3E8;name="a;b"\r\n')
        .replace(/\r\n$/, "X-After: 1\r\n\r\n");
      return partial({ ...inChunks, body: Buffer.from(odd, "latin1") })(reply, request);
    },
  ],
  ["the range until the connection ends", partial({ length: false, close: true })],
  [
    "the range in pieces of odd sizes",
    async (reply, request) => {
      const bytes = askedFor(request);
      await reply.send(partialHead(request));
      for (let at = 0, size = 1; at < bytes.byteLength; at += size, size = size * 2 + 1)
        await reply.send(bytes.subarray(at, at + size));
    },
  ],
];

/** What follows a whole answer and belongs to nothing. */
const surplus: [string, string | Buffer][] = [
  ["one byte", "x"],
  ["empty lines", "\r\n\r\n"],
  ["a lot of bytes", Buffer.alloc(200_000, "garbage")],
  [
    "an answer nobody asked for",
    "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\n\r\nWRONG",
  ],
  ["the head of another answer", "HTTP/1.1 206 Partial Content\r\nContent-Length: 70"],
];

/** Bodies in every form that HTTP has for them. */
export function describeBodies(suite: HttpRangeSuite): void {
  overBoth(suite, "a server that sends", (open) => {
    test.each(right)("%s gives the range", async (_, answer) => {
      await using stage = await open();
      stage.server.otherwise = answer;
      await stage.read();
      await stage.read({ offset: 0, length: 5000 });
      await stage.read({ offset: 0, length: content.byteLength });
      await stage.read({ offset: content.byteLength - 1, length: 1 });
      expect(stage.server.requests.length).toBeLessThanOrEqual(9);
    });

    test.each(surplus)("%s after the body gives the next range as it is", async (_, more) => {
      await using stage = await open();
      stage.server.otherwise = (reply, request) =>
        partial({
          body: Buffer.concat([askedFor(request), Buffer.from(more)]),
          length: request.last - request.first + 1,
        })(reply, request);
      for (let offset = 0; offset < 300_000; offset += 30_000)
        await stage.read({ offset, length: 1_100_000 });
      expect(stage.server.requests.length).toBeLessThanOrEqual(10 * mostRequests);
    });
  });

  describe("a Content-Length that is not that of the range", () => {
    test.each([
      ["shorter", -50_000],
      ["longer, with more bytes", 50_000],
    ])("and %s gives the right bytes", async (_, more) => {
      await using stage = await suite.open();
      stage.server.answers.push((reply, request) => {
        const { first, last } = request;
        const body = content.subarray(first, last + 1 + more);
        return partial({ body, length: body.byteLength })(reply, request);
      });
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(3);
    });

    test("and never met ends as a connection that broke", async () => {
      await using stage = await suite.open();
      stage.server.otherwise = partial({ length: 1_450_000, close: true });
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
    });
  });

  test("all of a content that is shorter than the range is refused", async () => {
    await using stage = await suite.open();
    stage.server.otherwise = whole({ body: content.subarray(0, 100_000), length: 100_000 });
    expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
    expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
  });

  test("a body without a length that always ends early is refused after few requests", async () => {
    await using stage = await suite.open();
    const body = content.subarray(0, 1000);
    stage.server.otherwise = whole({ length: false, body, close: true });
    expect((await stage.refused()).code).toBe("REGISTRY_UNAVAILABLE");
    expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
  });

  test.each(["", "5\r\nab", "1\r\na\r\nxyz", "-1\r\n", `${"f".repeat(20)}\r\n`])(
    "chunks that are none (%j) are refused after few requests",
    async (body) => {
      await using stage = await suite.open();
      stage.server.otherwise = partial({ ...inChunks, body: Buffer.from(body), close: true });
      expect((await stage.refused()).code).toBe("REGISTRY_UNAVAILABLE");
      expect(stage.server.requests.length).toBeLessThanOrEqual(mostRequests);
    },
  );
}
