import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRangeResponse } from "../../src/transfer/socket/range-response.ts";

const range = { offset: 7, length: 300_000 };
const body = Buffer.from(Array.from({ length: range.length }, (_, at) => at % 251));
const head = `HTTP/1.1 206 Partial Content\r\nContent-Length: ${range.length}\r\nContent-Range: bytes 7-300006/400000\r\n\r\n`;
const interim = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
const answer = (text: string) => Buffer.concat([Buffer.from(text, "latin1"), body]);

/** Gives `bytes` in pieces, and what was not taken again, as a connection does. */
function feed(bytes: Buffer, cuts: readonly number[], roomBytes: number) {
  const got: Buffer[] = [];
  const response = createRangeResponse(range, (piece) => void got.push(Buffer.from(piece)));
  let waiting = Buffer.alloc(0);
  for (let at = 0, turn = 0; at < bytes.byteLength; turn += 1) {
    const cut = Math.min(cuts[turn % cuts.length] ?? 1, roomBytes - waiting.byteLength);
    waiting = Buffer.concat([waiting, bytes.subarray(at, at + cut)]);
    at += cut;
    const taken = response.take(waiting, roomBytes - waiting.byteLength < 16_384);
    waiting = waiting.subarray(taken);
    if (response.state === "done" || response.state === "refused") break;
  }
  return { response, got: Buffer.concat(got), waiting };
}

describe("the response to a range", () => {
  test("gives exactly the range, however the bytes are cut", () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 12 });
    const heads = fc.nat({ max: 3 });
    fc.assert(
      fc.property(cuts, heads, (sizes, count) => {
        const bytes = answer(interim.repeat(count) + head);
        const { response, got, waiting } = feed(bytes, [5000, ...sizes], 131_072);
        expect(response).toMatchObject({ state: "done", left: 0, keepsAlive: true });
        expect(got.equals(body)).toBe(true);
        expect(waiting.byteLength).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("reads a head that comes byte by byte", () => {
    const bytewise = Array.from(head, () => 1);
    const { response, got } = feed(answer(head), [...bytewise, 60_000], 131_072);
    expect(response.state).toBe("done");
    expect(got.equals(body)).toBe(true);
  });

  test("leaves what comes behind the range", () => {
    const bytes = Buffer.concat([answer(head), Buffer.from("HTTP/1.1 200 OK")]);
    const { got, waiting } = feed(bytes, [bytes.byteLength], 524_288);
    expect(got.equals(body)).toBe(true);
    expect(waiting.toString()).toBe("HTTP/1.1 200 OK");
  });

  test("passes large pieces on, and the small rest of the range", () => {
    const pieces: number[] = [];
    const response = createRangeResponse(range, ({ byteLength }) => void pieces.push(byteLength));
    response.take(Buffer.from(head), false);
    let waiting = Buffer.alloc(0);
    for (let at = 0; at < body.byteLength; at += 16_384) {
      waiting = Buffer.concat([waiting, body.subarray(at, at + 16_384)]);
      waiting = waiting.subarray(response.take(waiting, false));
    }
    expect(pieces).toEqual([131_072, 131_072, range.length - 262_144]);
  });

  test.each([
    ["another status", "HTTP/1.1 404 Not Found\r\nContent-Length: 300000\r\n\r\n"],
    ["something that is not HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
    ["a head without end", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(70_000)}`],
    ["interim answers without end", interim.repeat(17) + head],
  ])("takes nothing of %s", (_, text) => {
    const { response, got } = feed(answer(text), [1000], 131_072);
    expect(response).toMatchObject({ state: "refused", left: range.length });
    expect(got.byteLength).toBe(0);
  });

  test("says when the connection is not kept", () => {
    const closing = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    expect(feed(answer(closing), [100_000], 131_072).response).toMatchObject({
      state: "done",
      keepsAlive: false,
    });
  });
});
