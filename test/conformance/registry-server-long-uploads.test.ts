import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ContentDigest, contentDigestOf, digestOf } from "../../src/core/digest.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { errorCode, openRawRegistry, RawRegistry } from "./raw-registry.ts";

/** Threads take what is longer than a mebibyte. */
const bytes = randomBytes(8_000_000);
const digest = digestOf(bytes);
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry({ limits: { maxBlobBytes: 9_000_000, closeGraceMs: 100 } });
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe("long uploads", () => {
  test.each([
    ["one body", [8_000_000]],
    ["short chunks, then long ones", [1, 300_000, 700_000, 48_576, 1, 2_000_000, 10, 4_951_412]],
    ["a long chunk, then short ones", [7_000_000, 1, 99_999, 900_000]],
    ["halves at the border of a thread", [1_048_576, 6_951_424]],
  ])("of %s are what was sent", async (what, lengths) => {
    const repository = what.replace(/\W+/g, "-");
    const location = await registry.openUpload(repository);
    let at = 0;
    for (const length of lengths) {
      const body = bytes.subarray(at, at + length);
      expect((await registry.send("PATCH", location, { body })).status).toBe(202);
      at += length;
      expect(await arrived(location)).toBe(at);
    }
    expect((await registry.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    await expectBlob(repository, digest);
  });

  test.each(["", "?digest-algorithm=sha512"])(
    "of a blob with a sha512 name, opened with %j, are what was sent",
    async (query) => {
      const long = contentDigestOf(bytes, "sha512");
      const repository = query === "" ? "twice" : "once";
      const opened = await registry.send("POST", `/v2/${repository}/blobs/uploads/${query}`);
      const path = `${String(opened.headers.location)}?digest=${long}`;
      expect((await registry.send("PUT", path, { body: bytes })).status).toBe(201);
      await expectBlob(repository, long);
    },
  );

  test("of several clients at once do not mix", async () => {
    const push = async (index: number) => {
      const own = Buffer.concat([Buffer.from(`${index}`), bytes]);
      const name = `several${index % 2}`;
      const location = await registry.openUpload(name);
      for (let at = 0; at < own.byteLength; at += 2_500_000)
        await registry.sendStream("PATCH", location, own.subarray(at, at + 2_500_000));
      const path = `${location}?digest=${digestOf(own)}`;
      expect((await registry.send("PUT", path)).status).toBe(201);
      await expectBlob(name, digestOf(own), own);
    };
    await Promise.all([0, 1, 2, 3, 4, 5].map(push));
  });

  test("that break off keep what arrived, and go on behind it", async () => {
    const location = await registry.openUpload("broken");
    const socket = await sendPart(location, bytes.subarray(0, 3_000_000));
    await expect.poll(() => arrived(location)).toBe(3_000_000);
    socket.resetAndDestroy();
    const rest = { body: bytes.subarray(3_000_000) };
    await expect.poll(async () => (await registry.send("PATCH", location, rest)).status).toBe(202);
    expect((await registry.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    await expectBlob("broken", digest);
    expect(await registry.unfinished("broken")).toEqual([]);
  });

  test("that a server is closed in the middle of go on with the next", async () => {
    const { root } = registry;
    const location = await registry.openUpload("closed");
    const socket = await sendPart(location, bytes.subarray(0, 3_000_000));
    await expect.poll(() => arrived(location)).toBe(3_000_000);
    await registry.server.close();
    socket.destroy();
    const file = join(root, "closed/uploads", location.replace(/.*\//, ""));
    expect((await readFile(file)).equals(bytes.subarray(0, 3_000_000))).toBe(true);
    registry = new RawRegistry(root, await startRegistry({ root, limits: { closeGraceMs: 100 } }));
    expect(await arrived(location)).toBe(3_000_000);
    const path = `${location}?digest=${digest}`;
    const body = bytes.subarray(3_000_000);
    expect((await registry.send("PUT", path, { body })).status).toBe(201);
    await expectBlob("closed", digest);
  });

  test("that are not what their digest says, or too long, or given up leave nothing", async () => {
    await using small = await openRawRegistry({ limits: { maxBlobBytes: 5_000_000 } });
    const wrong = await small.openUpload("nothing");
    const refused = await small.send("PUT", `${wrong}?digest=${digestOf("x")}`, {
      body: bytes.subarray(0, 4_000_000),
    });
    expect([refused.status, errorCode(refused)]).toEqual([400, "DIGEST_INVALID"]);
    const long = await small.openUpload("nothing");
    expect((await small.sendStream("PATCH", long, bytes)).status).toBe(413);
    const given = await small.openUpload("nothing");
    await small.send("PATCH", given, { body: bytes.subarray(0, 4_000_000) });
    expect((await small.send("DELETE", given)).status).toBe(204);
    expect(await small.unfinished("nothing")).toEqual([]);
  });
});

async function sendPart(location: string, part: Buffer): Promise<Socket> {
  const { hostname, port } = new URL(registry.server.url);
  const socket = connect(Number(port), hostname).on("error", () => undefined);
  await once(socket, "connect");
  socket.write(
    `PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.byteLength}\r\n\r\n`,
  );
  socket.write(part);
  return socket;
}

async function arrived(location: string): Promise<number> {
  const { headers } = await registry.send("GET", location);
  return Number(String(headers.range).split("-")[1]) + 1;
}

async function expectBlob(name: string, named: ContentDigest, content = bytes): Promise<void> {
  const path = join(registry.root, name, "blobs", named.replace(":", "/"));
  expect((await readFile(path)).equals(content)).toBe(true);
}
