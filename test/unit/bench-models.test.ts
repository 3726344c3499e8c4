import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseChunkIndex } from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";
import { readSafetensorsHeader } from "../../src/core/safetensors.ts";
import { planLlama } from "../bench/models/llama-shape.ts";
import { expectContent, expectFiles, writeModel } from "../bench/models/model-files.ts";
import { simulateModel } from "../bench/models/simulated-model.ts";
import { sendMadeUp } from "../bench/servers/made-up-bytes.ts";
import { countTraffic } from "../bench/servers/request-log.ts";
import { makeTemporaryFolder, readAtOfBytes } from "../support/models.ts";
import { flipBit, mebi } from "../support/workplace.ts";

const { signal } = new AbortController();

test.each([
  [64 * mebi, 4],
  [2 ** 31, 1],
  [2 ** 31, 4],
  [2 ** 40, 220],
])("a planned model of %d bytes in %d files is nearly that large", (bytes, shards) => {
  const planned = planLlama(bytes, shards);
  const sizes = planned.map(({ tensors }) => tensors.reduce((sum, { size }) => sum + size, 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(planned).toHaveLength(shards);
  expect(total).toBeLessThanOrEqual(bytes);
  expect(total).toBeGreaterThan(bytes * 0.999);
  expect(Math.max(...sizes)).toBeLessThan((2 * bytes) / shards);
});

describe("a written model", () => {
  const shards = planLlama(24 * mebi, 2);

  test("is safetensors, and differs from its tune in the tuned tensors alone", async () => {
    await using folder = await makeTemporaryFolder();
    const paths = ["a", "b"].map((name) => join(folder.path, name)) as [string, string];
    await writeModel(paths[0], shards, { signal });
    const versionOf = (name: string) => (name.includes("q_proj") ? "2" : "1");
    await writeModel(paths[1], shards, { versionOf, signal });
    let changed = 0;
    for (const { path } of shards) {
      const [one, two] = await Promise.all(paths.map((each) => readFile(join(each, path))));
      if (one === undefined || two === undefined) throw new Error("two files");
      const reading = await readSafetensorsHeader(readAtOfBytes(one), one.byteLength);
      if (reading.outcome !== "read") throw new Error(reading.reason);
      for (const { name, offset, size } of reading.header.tensors) {
        const same = one
          .subarray(offset, offset + size)
          .equals(two.subarray(offset, offset + size));
        expect([name, same]).toEqual([name, !name.includes("q_proj")]);
        changed += same ? 0 : 1;
      }
    }
    expect(changed).toBeGreaterThan(0);
  });

  test("is missed when a byte of a copy is wrong", async () => {
    await using folder = await makeTemporaryFolder();
    const model = await writeModel(join(folder.path, "a"), shards, { signal });
    await expectContent(folder.path, model, signal);
    await expectFiles(model.folder, model, signal);
    await flipBit(join(model.folder, shards[0]?.path ?? ""), 5_000_000);
    await expect(expectContent(folder.path, model, signal)).rejects.toThrow("wrong or missing");
    await expect(expectFiles(model.folder, model, signal)).rejects.toThrow("has other bytes");
  });
});

describe("a simulated model", () => {
  const model = simulateModel(64 * mebi);

  test("has an index that a reader accepts", () => {
    const index = parseChunkIndex(model.indexBytes, "index");
    expect(index.layers).toEqual(model.index.layers);
    expect(model.layers.size).toBe(index.layers.length);
  });

  test("is served with just the bytes that its index states, whole and in ranges", async () => {
    for (const { chunks } of model.index.files)
      for (const { digest, size, layer, offset } of chunks) {
        const bytes = await fetchLayer(layer, `bytes=${offset}-${offset + size - 1}`);
        expect(digestOf(bytes)).toBe(digest);
      }
    const whole = await fetchLayer(0);
    const hash = createHash("sha256").update(whole.subarray(1000)).digest("hex");
    const rest = await fetchLayer(0, "bytes=1000-");
    expect(whole).toHaveLength(model.index.layers[0]?.size ?? -1);
    expect(createHash("sha256").update(rest).digest("hex")).toBe(hash);
  });

  async function fetchLayer(number: number, range?: string): Promise<Buffer> {
    const digest = model.index.layers[number]?.digest;
    const chunks = digest && model.layers.get(digest);
    if (chunks === undefined) throw new Error(`no layer ${number}`);
    const server = createServer((request, response) => {
      sendMadeUp(request, response, chunks, () => undefined).catch(() => response.destroy());
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    try {
      const { port } = server.address() as AddressInfo;
      const headers: Record<string, string> = range === undefined ? {} : { range };
      const answer = await fetch(`http://127.0.0.1:${port}/`, { headers });
      expect(answer.status).toBe(range === undefined ? 200 : 206);
      return Buffer.from(await answer.arrayBuffer());
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
});

test("an access log counts requests and bytes of blobs, and not the bench's own requests", () => {
  const line = (request: string, status: number, bytes: string) =>
    `127.0.0.1 - - [21/Nov/2026:12:56:49 +0000] "${request} HTTP/1.1" ${status} ${bytes} "-" "x/1"\n`;
  const log = [
    line("GET /v2/a/manifests/v1", 200, "1177"),
    line("GET /v2/a/blobs/sha256:aa", 206, "1000"),
    line("HEAD /v2/a/blobs/sha256:aa", 200, "5"),
    line("GET /v2/a/blobs/sha256:bb", 200, "-"),
    line("PUT /v2/a/blobs/uploads/1?digest=sha256:aa", 201, "0"),
    line("GET /v2/?bench-mark=3-", 200, "2"),
    "time=... level=info\n",
  ].join("");
  expect(countTraffic(log)).toEqual({ requests: 5, movedBytes: 1000 });
});
