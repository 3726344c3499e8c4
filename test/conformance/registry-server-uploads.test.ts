import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contentDigestOf, digestOf } from "../../src/core/digest.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const bytes = randomBytes(1_000_000);
const digest = digestOf(bytes);
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry({ limits: { maxBlobBytes: 2_000_000 } });
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe("uploads", () => {
  test("one POST takes a whole blob", async () => {
    const path = `/v2/post/blobs/uploads/?digest=${encodeURIComponent(digest)}`;
    const { status, headers } = await registry.send("POST", path, { body: bytes });
    expect(status).toBe(201);
    expect(headers["docker-content-digest"]).toBe(digest);
    await expectBlob("post", String(headers.location));
  });

  test("POST and PUT take a whole blob", async () => {
    const location = await registry.openUpload("put");
    const { status, headers } = await registry.send("PUT", `${location}?digest=${digest}`, {
      body: bytes,
    });
    expect(status).toBe(201);
    await expectBlob("put", String(headers.location));
    expect((await registry.send("GET", location)).status).toBe(404);
  });

  test("chunks in order, with and without Content-Range, make a blob", async () => {
    const location = await registry.openUpload("chunks");
    expect((await registry.send("GET", location)).headers.range).toBe("0-0");
    const first = await registry.send("PATCH", location, {
      headers: { "content-range": "0-399999" },
      body: bytes.subarray(0, 400_000),
    });
    expect([first.status, first.headers.range]).toEqual([202, "0-399999"]);
    const second = await registry.send("PATCH", location, {
      body: bytes.subarray(400_000, 900_000),
    });
    expect(second.headers.range).toBe("0-899999");
    const state = await registry.send("GET", location);
    expect([state.status, state.headers.range, state.headers.location]).toEqual([
      204,
      "0-899999",
      location,
    ]);
    const last = await registry.send("PUT", `${location}?digest=${digest}`, {
      headers: { "content-range": "900000-999999" },
      body: bytes.subarray(900_000),
    });
    expect(last.status).toBe(201);
    await expectBlob("chunks", `/v2/chunks/blobs/${digest}`);
    expect(await registry.unfinished("chunks")).toEqual([]);
  });

  test.each(["400001-499999", "0-99999", "399999-499998"])(
    "a chunk at %s, out of order, is 416, and the upload goes on",
    async (range) => {
      const location = await registry.openUpload("order");
      await registry.send("PATCH", location, { body: bytes.subarray(0, 400_000) });
      const response = await registry.send("PATCH", location, {
        headers: { "content-range": range },
        body: Buffer.alloc(range === "400001-499999" ? 99_999 : 100_000),
      });
      expect(response.status).toBe(416);
      expect(response.headers).toMatchObject({ location, range: "0-399999" });
      const last = await registry.send("PUT", `${location}?digest=${digest}`, {
        body: bytes.subarray(400_000),
      });
      expect(last.status).toBe(201);
    },
  );

  test.each(["0-5", "5-0", "bytes 0-9/10", "x"])(
    "a Content-Range of %s on ten bytes is refused",
    async (range) => {
      const location = await registry.openUpload("malformed");
      const response = await registry.send("PATCH", location, {
        headers: { "content-range": range },
        body: "ten bytes.",
      });
      expect([response.status, errorCode(response)]).toEqual([400, "BLOB_UPLOAD_INVALID"]);
    },
  );

  test("a blob that is not what its digest says is refused, and nothing stays", async () => {
    const wrong = digestOf("something else");
    const location = await registry.openUpload("wrong");
    for (const [method, path] of [
      ["PUT", `${location}?digest=${wrong}`],
      ["POST", `/v2/wrong/blobs/uploads/?digest=${wrong}`],
    ] as const) {
      const response = await registry.send(method, path, { body: bytes });
      expect([response.status, errorCode(response)]).toEqual([400, "DIGEST_INVALID"]);
    }
    expect((await registry.send("HEAD", `/v2/wrong/blobs/${wrong}`)).status).toBe(404);
    expect(await registry.unfinished("wrong")).toEqual([]);
  });

  test.each(["", "?digest=", "?digest=sha256:abc", "?digest=sha512:00", "?digest=../../x"])(
    "a PUT with %j is refused before its body is read",
    async (query) => {
      const location = await registry.openUpload("undigested");
      const response = await registry.send("PUT", `${location}${query}`, { body: bytes });
      expect([response.status, errorCode(response)]).toEqual([400, "DIGEST_INVALID"]);
      expect((await registry.send("GET", location)).status).toBe(204);
    },
  );

  test("an upload belongs to its repository", async () => {
    const location = await registry.openUpload("mine");
    const elsewhere = location.replace("/mine/", "/theirs/");
    expect((await registry.send("PATCH", elsewhere, { body: "x" })).status).toBe(404);
  });

  test("a deleted upload is gone", async () => {
    const location = await registry.openUpload("deleted");
    await registry.send("PATCH", location, { body: bytes });
    expect(await registry.unfinished("deleted")).toHaveLength(1);
    expect((await registry.send("DELETE", location)).status).toBe(204);
    expect((await registry.send("GET", location)).status).toBe(404);
    expect(await registry.unfinished("deleted")).toEqual([]);
  });

  test.each([
    ["says so", { "content-length": "2000001" }],
    ["does not say so", { "transfer-encoding": "chunked" }],
  ])("a blob above the limit that %s is 413, and nothing stays", async (_what, headers) => {
    const location = await registry.openUpload("huge");
    const socket = dial(registry);
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\n${fields.join("")}\r\n`);
    if ("transfer-encoding" in headers)
      for (let at = 0; at < 21; at += 1) socket.write(`186a0\r\n${"x".repeat(100_000)}\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
    expect(await registry.unfinished("huge")).toEqual([]);
  });

  test("uploads open at a time are limited, and idle ones make room", async () => {
    const limits = { maxUploads: 2, uploadIdleMs: 50 };
    await using small = await openRawRegistry({ limits });
    const location = await small.openUpload("few");
    await small.send("PATCH", location, { body: bytes });
    await small.openUpload("few");
    const refused = await small.send("POST", "/v2/few/blobs/uploads/");
    expect([refused.status, errorCode(refused)]).toEqual([429, "TOOMANYREQUESTS"]);
    await expect.poll(() => small.unfinished("few")).toEqual([]);
    await small.openUpload("few");
  });

  test("two requests cannot use one upload at a time", async () => {
    const location = await registry.openUpload("busy");
    const socket = dial(registry);
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart`);
    await expect.poll(() => arrived(location)).toBe(4);
    expect((await registry.send("PATCH", location, { body: "x" })).status).toBe(409);
    expect((await registry.send("DELETE", location)).status).toBe(409);
    socket.destroy();
    await expect
      .poll(async () => (await registry.send("PATCH", location, { body: "more" })).status)
      .toBe(202);
    expect((await registry.send("GET", location)).headers.range).toBe("0-7");
    expect((await registry.send("DELETE", location)).status).toBe(204);
    expect(await registry.unfinished("busy")).toEqual([]);
  });

  test.each(["PATCH", "PUT"])(
    "a client that goes away in a %s asks how much arrived, and goes on behind that",
    async (method) => {
      const location = await registry.openUpload("aborted");
      await registry.send("PATCH", location, { body: bytes.subarray(0, 100_000) });
      const socket = dial(registry);
      const target = `${location}?digest=${digest}`;
      socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n`);
      socket.write(bytes.subarray(100_000, 500_000));
      await expect.poll(() => arrived(location)).toBe(500_000);
      socket.resetAndDestroy();
      const rest = { body: bytes.subarray(500_000) };
      await expect
        .poll(async () => (await registry.send("PATCH", location, rest)).status)
        .toBe(202);
      expect(await arrived(location)).toBe(1_000_000);
      expect((await registry.send("PUT", target)).status).toBe(201);
      await expectBlob("aborted", `/v2/aborted/blobs/${digest}`);
      expect(await registry.unfinished("aborted")).toEqual([]);
    },
  );

  test("a client that goes away in a PUT of the whole blob leaves nothing: it would begin anew", async () => {
    const location = await registry.openUpload("given-up");
    const socket = dial(registry);
    const target = `${location}?digest=${digest}`;
    socket.write(`PUT ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`);
    socket.write(bytes.subarray(0, 500_000));
    await expect.poll(() => arrived(location)).toBe(500_000);
    socket.resetAndDestroy();
    await expect.poll(async () => (await registry.send("GET", location)).status).toBe(404);
    expect(await registry.unfinished("given-up")).toEqual([]);
  });

  test("a body without a length, in pieces, is taken as it comes", async () => {
    const location = await registry.openUpload("streamed");
    for (const part of [bytes.subarray(0, 300_000), bytes.subarray(300_000)])
      expect((await registry.sendStream("PATCH", location, part)).status).toBe(202);
    expect((await registry.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    await expectBlob("streamed", `/v2/streamed/blobs/${digest}`);
  });

  test.each([
    ["one PUT", "", "PUT"],
    ["chunks", "", "PATCH"],
    ["chunks, said before", "?digest-algorithm=sha512", "PATCH"],
    ["one POST", undefined, "POST"],
  ])("a sha512 digest names a blob that came in %s", async (_, query, method) => {
    const long = contentDigestOf(bytes, "sha512");
    const start = "/v2/long/blobs/uploads/";
    if (query === undefined) {
      const path = `${start}?digest=${long}`;
      expect((await registry.send(method, path, { body: bytes })).status).toBe(201);
    } else {
      const opened = await registry.send("POST", `${start}${query}`);
      const location = String(opened.headers.location);
      if (method === "PATCH") await registry.send("PATCH", location, { body: bytes });
      const last = await registry.send("PUT", `${location}?digest=${long}`, {
        body: method === "PUT" ? bytes : "",
      });
      expect([last.status, last.headers["docker-content-digest"]]).toEqual([201, long]);
    }
    const file = join(registry.root, "long/blobs/sha512", long.slice("sha512:".length));
    expect((await readFile(file)).equals(bytes)).toBe(true);
    await rm(file);
  });

  test.each([
    ["POST", `/v2/wrong/blobs/uploads/?digest-algorithm=md5`],
    ["POST", `/v2/wrong/blobs/uploads/?digest=sha512:${"0".repeat(128)}`],
  ])("%s %s is refused", async (method, path) => {
    const response = await registry.send(method, path, { body: bytes });
    expect([response.status, errorCode(response)]).toEqual([400, "DIGEST_INVALID"]);
  });

  test("an empty blob needs no chunk", async () => {
    const empty = digestOf("");
    const location = await registry.openUpload("empty");
    expect((await registry.send("PUT", `${location}?digest=${empty}`)).status).toBe(201);
    const { status, body } = await registry.send("GET", `/v2/empty/blobs/${empty}`);
    expect([status, body.byteLength]).toEqual([200, 0]);
  });

  test("an upload whose file somebody removed is unknown, and takes no more bytes", async () => {
    const location = await registry.openUpload("swept");
    await rm(join(registry.root, "swept/uploads"), { recursive: true });
    const response = await registry.send("PATCH", location, { body: bytes });
    expect([response.status, errorCode(response)]).toEqual([404, "BLOB_UPLOAD_UNKNOWN"]);
    expect((await registry.send("GET", location)).status).toBe(404);
    expect(await registry.unfinished("swept")).toEqual([]);
  });
});

describe("mounts", () => {
  test("a blob of another repository is there at once", async () => {
    await registry.pushBlob("source", bytes);
    const path = `/v2/target/blobs/uploads/?mount=${digest}&from=source`;
    const { status, headers } = await registry.send("POST", path);
    expect([status, headers.location]).toEqual([201, `/v2/target/blobs/${digest}`]);
    await expectBlob("target", `/v2/target/blobs/${digest}`);
  });

  test.each([
    `mount=${digestOf("not there")}&from=source`,
    `mount=${digestOf("not there")}`,
    `mount=${digestOf("not there")}&from=no-such-repository`,
    `mount=${digestOf("not there")}&from=..%2f..%2fetc`,
  ])("%s opens an upload instead", async (query) => {
    const { status, headers } = await registry.send("POST", `/v2/other/blobs/uploads/?${query}`);
    expect(status).toBe(202);
    expect(headers.location).toMatch(/^\/v2\/other\/blobs\/uploads\/[0-9a-f-]{36}$/);
  });
});

async function expectBlob(repository: string, location: string): Promise<void> {
  expect(location).toBe(`/v2/${repository}/blobs/${digest}`);
  const { body } = await registry.send("GET", location);
  expect(body.equals(bytes)).toBe(true);
}

function dial({ server }: RawRegistry): Socket {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  return socket;
}

/** Bytes of an upload by the range that it states; one byte and none look the same. */
async function arrived(location: string): Promise<number> {
  const { headers } = await registry.send("GET", location);
  return Number(String(headers.range).split("-")[1]) + 1;
}
