import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BodyGathering } from "../../src/registry/server/body-gathering.ts";
import { requireClientPace } from "../../src/registry/server/bounds/client-pace.ts";

const server = createServer();
let socket: Socket;
let request: IncomingMessage;
let response: ServerResponse;

/** A request that says it has 4 MB, and nothing of it sent. */
beforeEach(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  socket = connect(address.port, "127.0.0.1").on("error", () => undefined);
  socket.write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
  [request, response] = (await once(server, "request")) as [IncomingMessage, ServerResponse];
  request.on("error", () => undefined);
});
afterEach(async () => {
  socket.destroy();
  server.close();
  server.closeAllConnections();
  await once(server, "close");
});

describe("a body that is gathered", () => {
  test("comes whole and in order, in few batches of few pieces", async () => {
    const sent = Buffer.from(Uint32Array.from({ length: 1_000_000 }, (_, index) => index).buffer);
    const sending = (async () => {
      for (let at = 0; at < sent.byteLength; at += 1000) {
        socket.write(sent.subarray(at, at + 1000));
        if (at % 100_000 === 0) await sleep(0);
      }
    })();
    using gathering = new BodyGathering(request);
    const got: Uint8Array[] = [];
    for (let batch = await gathering.next(); batch; batch = await gathering.next()) {
      expect(batch.length).toBeLessThanOrEqual(32);
      got.push(...batch);
    }
    await sending;
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    expect(await gathering.next()).toBeUndefined();
  });

  test("that breaks off gives what came, then fails", async () => {
    using gathering = new BodyGathering(request);
    socket.write(Buffer.alloc(500_000));
    await expect.poll(() => request.socket.bytesRead).toBeGreaterThan(500_000);
    socket.resetAndDestroy();
    await expect.poll(() => request.destroyed).toBe(true);
    let came = 0;
    const takeAll = async () => {
      for (let batch = await gathering.next(); batch; batch = await gathering.next())
        for (const { byteLength } of batch) came += byteLength;
    };
    await expect(takeAll()).rejects.toThrow("aborted");
    expect(came).toBe(500_000);
    using late = new BodyGathering(request);
    await expect(late.next()).rejects.toThrow("aborted");
  });

  test("and left leaves the rest to others", async () => {
    socket.write(Buffer.alloc(100_000));
    let came = 0;
    {
      using gathering = new BodyGathering(request);
      for (const { byteLength } of (await gathering.next()) ?? []) came += byteLength;
    }
    expect(request.destroyed).toBe(false);
    socket.write(Buffer.alloc(3_900_000));
    for await (const piece of request) came += (piece as Buffer).byteLength;
    expect(came).toBe(4_000_000);
  });

  test("that nobody takes makes the client wait, and does not count as its slowness", async () => {
    requireClientPace({ request, response }, { minBytesPerSecond: 4096, paceMs: 500 });
    using gathering = new BodyGathering(request);
    socket.write(Buffer.alloc(4_000_000));
    await expect.poll(() => request.isPaused()).toBe(true);
    await sleep(1500);
    expect(request.socket.bytesRead).toBeLessThan(3_000_000);
    let came = 0;
    for (let batch = await gathering.next(); batch; batch = await gathering.next())
      for (const { byteLength } of batch) came += byteLength;
    expect(came).toBe(4_000_000);
  });
});
