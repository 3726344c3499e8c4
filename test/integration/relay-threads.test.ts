import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ContentDigest } from "../../src/core/digest.ts";
import { createRelayThreads } from "../../src/transfer/relay-threads.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { type PutServer, readAll, startPutServer, type TakePut } from "../support/put-server.ts";
import { askedFor, partialHead, type RawAnswer } from "../support/raw-answers.ts";
import { type RawRangeServer, startRawRangeServer } from "../support/raw-range-server.ts";
import { sha256 } from "../support/registry-faults.ts";
import { mebi, seededBytes } from "../support/workplace.ts";

/** More than the sockets of a loopback connection take in. */
const content = seededBytes("relay", 24 * mebi);
const digest = sha256(content) as ContentDigest;
const timeouts = { connectMs: 5000, headersMs: 5000, bodyMs: 5000 };

const threads = createRelayThreads();
let certificates: Certificates;

beforeAll(async () => {
  await using folder = await makeTemporaryFolder();
  certificates = await makeCertificates(folder.path);
});
afterAll(() => threads[Symbol.asyncDispose]());

interface Changes {
  readonly signal?: AbortSignal | undefined;
  readonly bodyMs?: number | undefined;
  readonly commitMs?: number | undefined;
}

async function relay(source: RawRangeServer, target: PutServer, changes: Changes = {}) {
  const { signal, commitMs = 5000, bodyMs = timeouts.bodyMs } = changes;
  const terms = { headers: {}, ca: [certificates.authority], timeouts: { ...timeouts, bodyMs } };
  let sent = 0;
  const status = await threads.relay(
    {
      digest,
      size: content.byteLength,
      from: { ...terms, url: new URL(`${source.url}/blob`) },
      to: { ...terms, url: target.url, commitMs },
    },
    { signal, onBytes: (bytes) => (sent += bytes) },
  );
  return { status, sent };
}

/** Sends the first bytes of what was asked for, and breaks. */
function broken(bytes: number): RawAnswer {
  return async (reply, request) => {
    await reply.send(partialHead(request));
    await reply.send(askedFor(request).subarray(0, bytes));
    reply.end();
  };
}

describe("a relay", () => {
  test.each([
    { from: "http", to: "http" },
    { from: "https", to: "http" },
    { from: "http", to: "https" },
    { from: "https", to: "https" },
  ])("from $from to $to brings all bytes to a target that takes them late", async (side) => {
    const tls = (scheme: string) => (scheme === "https" ? certificates.server : undefined);
    await using source = await startRawRangeServer({ content, tls: tls(side.from) });
    await using target = await startPutServer({
      tls: tls(side.to),
      take: async (request, response) => {
        await delay(200);
        await readAll(request);
        response.writeHead(201).end();
      },
    });
    expect(await relay(source, target)).toEqual({ status: 201, sent: content.byteLength });
    expect(target.digests).toEqual([digest]);
    expect(source.requests).toHaveLength(1);
  });

  test("leaves a connection to its source that the next one goes over", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({
      take: async (request, response) => {
        await delay(100);
        await readAll(request);
        response.writeHead(201).end();
      },
    });
    for (let round = 1; round <= 3; round += 1)
      expect(await relay(source, target)).toMatchObject({ status: 201 });
    expect(source.requests.map(({ connection, turn }) => [connection, turn])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
  });

  test("goes on where a source broke off, in the same PUT", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer();
    source.answers.push(broken(3 * mebi), broken(2 * mebi));
    expect(await relay(source, target)).toMatchObject({ status: 201 });
    expect(target.digests).toEqual([digest]);
    expect(target.requests).toHaveLength(1);
    expect(source.requests.map(({ first }) => first)).toEqual([0, 3 * mebi, 5 * mebi]);
  });

  test("passes over interim answers", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({
      take: async (request, response) => {
        response.writeContinue();
        await readAll(request);
        response.writeProcessing();
        response.writeHead(204).end();
      },
    });
    expect(await relay(source, target)).toMatchObject({ status: 204 });
  });

  test.each<{ readonly what: string; readonly answer: RawAnswer }>([
    { what: "breaks off at once", answer: broken(1000) },
    { what: "answers something else", answer: (reply) => reply.send("HTTP/1.1 404 No\r\n\r\n") },
    {
      what: "gives wrong bytes",
      answer: async (reply, request) => {
        const bytes = Buffer.from(askedFor(request));
        bytes[10] = 255 - (bytes[10] ?? 0);
        await reply.send(partialHead(request));
        await reply.send(bytes);
      },
    },
  ])("whose source $what never gives the target all of it", async ({ answer }) => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer();
    source.otherwise = answer;
    expect(await relay(source, target)).toMatchObject({ status: undefined });
    await vi.waitFor(async () => expect(await target.open()).toBe(0));
    expect(target.digests).toEqual([]);
  });

  test("whose source stalls ends", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer();
    source.otherwise = async (reply, request) => {
      await reply.send(partialHead(request));
      await reply.send(askedFor(request).subarray(0, 1000));
    };
    expect(await relay(source, target, { bodyMs: 200 })).toMatchObject({ status: undefined });
    expect(target.digests).toEqual([]);
  });

  test.each<{ readonly what: string; readonly take: TakePut }>([
    { what: "stops taking bytes", take: () => undefined },
    {
      what: "answers before it has all of it",
      take: (_, response) => response.writeHead(413).end(),
    },
    { what: "says it has all before it has", take: (_, response) => response.writeHead(201).end() },
    { what: "closes the connection", take: (request) => request.socket.end() },
    { what: "resets the connection", take: (request) => request.socket.resetAndDestroy() },
    { what: "talks no HTTP", take: (request) => request.socket.write("220 ready\r\n\r\n") },
    { what: "answers with a head without end", take: (request) => request.socket.write(headless) },
    {
      what: "never has enough of interim answers",
      take: (request) => request.socket.write("HTTP/1.1 102 Wait\r\n\r\n".repeat(20)),
    },
  ])("whose target $what ends, and lets go of the source", async ({ take }) => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({ take });
    expect(await relay(source, target, { bodyMs: 400 })).toMatchObject({ status: undefined });
    await vi.waitFor(() => expect(source.open).toBe(0));
  });

  test("whose target never answers ends", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({ take: (request) => readAll(request) });
    expect(await relay(source, target, { commitMs: 400 })).toMatchObject({ status: undefined });
    await vi.waitFor(async () => expect(await target.open()).toBe(0));
  });

  test("gives back what a target says of all its bytes", async () => {
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({
      take: async (request, response) => {
        await readAll(request);
        response.writeHead(400).end("no");
      },
    });
    expect(await relay(source, target)).toEqual({ status: 400, sent: content.byteLength });
  });

  test("that is aborted rejects with the reason and lets go of both sides", async () => {
    const stop = new AbortController();
    const reason = new Error("enough");
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({
      take: (request) => {
        stop.abort(reason);
        request.resume(); // Or it would not see that the connection is closed.
      },
    });
    await expect(relay(source, target, { signal: stop.signal })).rejects.toBe(reason);
    await vi.waitFor(async () => {
      expect(await target.open()).toBe(0);
      expect(source.open).toBe(0);
    });
  });

  test("sends nothing to a target whose certificate nobody vouches for", async () => {
    await using folder = await makeTemporaryFolder();
    const others = await makeCertificates(folder.path);
    await using source = await startRawRangeServer({ content });
    await using target = await startPutServer({ tls: others.server });
    expect(await relay(source, target)).toEqual({ status: undefined, sent: 0 });
    expect([target.requests.length, source.requests.length]).toEqual([0, 0]);
  });
});

const headless = `HTTP/1.1 201 Created\r\n${"x: y\r\n".repeat(20_000)}`;
