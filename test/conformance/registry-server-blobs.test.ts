import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { truncate } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Digest, digestHex, digestOf } from "../../src/core/digest.ts";
import { parseRange } from "../../src/registry/server/range.ts";
import { openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const bytes = randomBytes(3_000_000);
const size = bytes.byteLength;
const etag = `"${digestOf(bytes)}"`;
let registry: RawRegistry;
let path: string;

beforeAll(async () => {
  registry = await openRawRegistry();
  path = blobPath(await registry.pushBlob("ranges", bytes));
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe("GET of a blob", () => {
  test("sends all of it, and says that ranges work", async () => {
    const { status, headers, body } = await registry.send("GET", path);
    expect(status).toBe(200);
    expect(body.equals(bytes)).toBe(true);
    expect(headers).toMatchObject({
      "accept-ranges": "bytes",
      "content-length": String(size),
      "content-type": "application/octet-stream",
      "docker-content-digest": digestOf(bytes),
      etag,
    });
  });

  test("HEAD has the same headers and no body, whatever range it names", async () => {
    const { status, headers, body } = await registry.send("HEAD", path, {
      headers: { range: "bytes=0-9" },
    });
    expect([status, headers["content-length"], body.byteLength]).toEqual([200, String(size), 0]);
  });

  test("an empty blob is sent", async () => {
    const empty = blobPath(await registry.pushBlob("ranges", Buffer.alloc(0)));
    const { status, body } = await registry.send("GET", empty);
    expect([status, body.byteLength]).toEqual([200, 0]);
    const ranged = await registry.send("GET", empty, { headers: { range: "bytes=0-" } });
    expect([ranged.status, ranged.headers["content-range"]]).toEqual([416, "bytes */0"]);
  });

  test.each([
    ["bytes=0-0", 0, 0],
    ["bytes=0-9", 0, 9],
    ["bytes=1048570-1048580", 1048570, 1048580],
    ["bytes=2999999-2999999", 2999999, 2999999],
    ["bytes=2999999-", 2999999, 2999999],
    ["bytes=0-", 0, 2999999],
    ["bytes=5-99999999", 5, 2999999],
    ["bytes=-1", 2999999, 2999999],
    ["bytes=-100", 2999900, 2999999],
    ["bytes=-99999999", 0, 2999999],
    ["BYTES= 1-2 ", 1, 2],
    ["bytes=1-99999999999999999999999999", 1, 2999999],
  ])("the range %s is answered with 206", async (range, first, last) => {
    const { status, headers, body } = await registry.send("GET", path, { headers: { range } });
    expect(status).toBe(206);
    expect(headers["content-range"]).toBe(`bytes ${first}-${last}/${size}`);
    expect(headers["content-length"]).toBe(String(last - first + 1));
    expect(body.equals(bytes.subarray(first, last + 1))).toBe(true);
  });

  test.each([
    "bytes=3000000-",
    "bytes=3000000-3000001",
    "bytes=99999999999999999999-",
    "bytes=-0",
    "bytes=9-1",
    "bytes=500-0",
  ])("the range %s is answered with 416 and the size", async (range) => {
    const { status, headers } = await registry.send("GET", path, { headers: { range } });
    expect([status, headers["content-range"]]).toEqual([416, `bytes */${size}`]);
  });

  test.each(["bytes=0-1,5-6", "bytes=-", "bytes=", "bytes=a-b", "bytes=1", "items=0-1", "0-1"])(
    "the range %s is ignored: all of it is sent",
    async (range) => {
      const { status, body } = await registry.send("GET", path, { headers: { range } });
      expect([status, body.byteLength]).toEqual([200, size]);
    },
  );

  test.each([
    [{ "if-none-match": etag }, 304],
    [{ "if-none-match": `"other", W/${etag}` }, 304],
    [{ "if-none-match": "*" }, 304],
    [{ "if-none-match": etag, range: "bytes=0-1" }, 304],
    [{ "if-none-match": '"other"' }, 200],
    [{ "if-match": etag }, 200],
    [{ "if-match": `"other", ${etag}` }, 200],
    [{ "if-match": "*" }, 200],
    [{ "if-match": '"other"' }, 412],
    [{ "if-match": `W/${etag}` }, 412],
    [{ "if-range": etag, range: "bytes=0-1" }, 206],
    [{ "if-range": '"other"', range: "bytes=0-1" }, 200],
    [{ "if-range": `W/${etag}`, range: "bytes=0-1" }, 200],
    [{ "if-range": "Sat, 01 Jan 2028 00:00:00 GMT", range: "bytes=0-1" }, 200],
  ])("with %j the status is %i", async (headers, expected) => {
    const { status } = await registry.send("GET", path, { headers });
    expect(status).toBe(expected);
  });

  test("many ranges at a time do not mix", async () => {
    await Promise.all(
      Array.from({ length: 24 }, async (_, at) => {
        const [first, last] = [at * 100_000, at * 100_000 + 1_200_000 - 1];
        const headers = { range: `bytes=${first}-${last}` };
        const { body } = await registry.send("GET", path, { headers });
        expect(body.equals(bytes.subarray(first, last + 1))).toBe(true);
      }),
    );
  });

  test("a client that goes away in the middle does no harm", async () => {
    const large = randomBytes(32 * 1_048_576);
    const digest = await registry.pushBlob("large", large);
    for (let time = 0; time < 5; time += 1) {
      const socket = connect(Number(new URL(registry.server.url).port), "127.0.0.1");
      socket.write(`GET /v2/large/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await once(socket, "data");
      socket.resetAndDestroy();
    }
    const { body } = await registry.send("GET", `/v2/large/blobs/${digest}`);
    expect(body.equals(large)).toBe(true);
  });

  test("a file that is shorter than it was breaks the response off", async () => {
    const content = randomBytes(12 * 1_048_576);
    const digest = await registry.pushBlob("shrinks", content);
    const file = join(registry.root, "shrinks", "blobs", "sha256", digestHex(digest));
    const socket = connect(Number(new URL(registry.server.url).port), "127.0.0.1");
    socket.write(`GET /v2/shrinks/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, "readable");
    await truncate(file, 1000);
    let received = 0;
    socket.on("data", (piece: Buffer) => (received += piece.byteLength));
    socket.on("error", () => undefined);
    await once(socket, "close");
    expect(received).toBeLessThan(content.byteLength);
  });
});

test("whatever is asked for, a range lies inside the content", () => {
  const header = fc.oneof(
    fc.tuple(fc.nat(), fc.nat()).map(([first, last]) => `bytes=${first}-${last}`),
    fc.nat().map((first) => `bytes=${first}-`),
    fc.nat().map((length) => `bytes=-${length}`),
    fc.string(),
  );
  fc.assert(
    fc.property(header, fc.nat(), (text, total) => {
      const range = parseRange(text, total);
      if (typeof range === "string") return;
      expect(range.offset).toBeGreaterThanOrEqual(0);
      expect(range.length).toBeGreaterThan(0);
      expect(range.offset + range.length).toBeLessThanOrEqual(total);
    }),
  );
});

function blobPath(digest: Digest): string {
  return `/v2/ranges/blobs/${digest}`;
}
