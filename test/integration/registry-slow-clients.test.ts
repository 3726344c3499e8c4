import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { AccessRecord } from "../../src/registry/server/conversation.ts";
import type { RegistryLimits } from "../../src/registry/server/limits.ts";
import { openRawRegistry, type RawRegistry } from "../conformance/raw-registry.ts";

let registry: RawRegistry;
let records: AccessRecord[];
afterEach(() => registry[Symbol.asyncDispose]());

async function open(limits: RegistryLimits): Promise<void> {
  records = [];
  registry = await openRawRegistry({ limits, onRequest: (record) => void records.push(record) });
}

/** A connection of its own, which keeps what it hears only when it is asked to. */
async function dial(head = ""): Promise<Socket> {
  const socket = connect(Number(new URL(registry.server.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(head);
  return socket;
}

/** Resolves when a connection is over, however. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}

function upload(path: string, length: number): string {
  return `PATCH ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
}

describe("a client that holds a connection", () => {
  test("with a head that never ends is cut", async () => {
    await open({ headersMs: 300 });
    const socket = await dial("GET /v2/ HTTP/1.1\r\nHost: x\r\n");
    const drip = setInterval(() => socket.write("X-More: 1\r\n"), 50);
    socket.resume();
    await closed(socket);
    clearInterval(drip);
    expect(records).toEqual([]);
  });

  test("with a body that drips is cut, the log says 408, and nothing stays", async () => {
    await open({ minBytesPerSecond: 1000, paceMs: 300 });
    const socket = await dial(upload(await registry.openUpload("team/m"), 1_000_000));
    const drip = setInterval(() => socket.write("x"), 50);
    socket.resume();
    await closed(socket);
    clearInterval(drip);
    await expect.poll(() => records.at(-1)?.status).toBe(408);
  });

  test("with many requests of which it awaits no answer is cut, one with a few is answered", async () => {
    await open({});
    const ask = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n";
    const few = await dial(
      ask.repeat(9) + ask.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
    );
    few.resume();
    await closed(few);
    expect(records.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const many = await dial(ask.repeat(1000));
    many.resume();
    await closed(many);
    expect(records.length).toBeLessThan(40);
    expect((await registry.send("GET", "/v2/")).status).toBe(200);
  });

  test("with an answer that it does not read is cut, and one that reads is not", async () => {
    await open({ minBytesPerSecond: 4_000_000, paceMs: 300 });
    const digest = await registry.pushBlob("team/m", Buffer.alloc(32_000_000));
    const socket = await dial(`GET /v2/team/m/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
    socket.pause();
    await expect
      .poll(() => records.some(({ method }) => method === "GET"), { timeout: 10_000 })
      .toBe(true);
    socket.destroy();
    const { body } = await registry.send("GET", `/v2/team/m/blobs/${digest}`);
    expect(body.byteLength).toBe(32_000_000);
  });

  test("and says nothing at all is cut", async () => {
    await open({ connectionIdleMs: 200 });
    const socket = await dial("POST /v2/team/m/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n");
    socket.resume();
    await closed(socket);
    expect(records).toEqual([]);
  });

  test("for an upload that gets on slowly but steadily is not cut", async () => {
    await open({ minBytesPerSecond: 100, paceMs: 200 });
    const bytes = Buffer.alloc(1000, 7);
    const socket = await dial(upload(await registry.openUpload("team/m"), bytes.byteLength));
    for (let at = 0; at < bytes.byteLength; at += 50) {
      socket.write(bytes.subarray(at, at + 50));
      await delay(40);
    }
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toContain("202 Accepted");
    socket.destroy();
  });
});

describe("a flood of connections", () => {
  test("from one address is cut above its bound, and those that were there go on", async () => {
    await open({ maxConnectionsPerAddress: 3 });
    const held = await Promise.all(Array.from({ length: 3 }, () => dial()));
    const more = await dial("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    more.resume();
    await closed(more);
    held[0]?.write("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    const [answer] = (await once(held[0] ?? more, "data")) as [Buffer];
    expect(answer.toString()).toContain("200 OK");
    for (const socket of held) socket.destroy();
    await expect
      .poll(() =>
        registry.send("GET", "/v2/").then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });
});

test("what is not sent on a body that is refused is not waited for", async () => {
  await open({ maxBlobBytes: 10 });
  const path = `/v2/team/m/blobs/uploads/?digest=${digestOf("x")}`;
  const socket = await dial(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toContain("413");
  socket.destroy();
});
