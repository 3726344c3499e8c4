import { afterAll, expect, test, vi } from "vitest";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { createSocketRangeReader } from "../../src/transfer/blob-range-reader.ts";
import { type DiskThreads, startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { redirect } from "../support/raw-answers.ts";
import { startRawRangeServer } from "../support/raw-range-server.ts";
import {
  content,
  type HttpReaderSetup,
  type HttpReaderUnderTest,
  openStage,
} from "./http-range/stage.ts";
import { describeHttpRangeReader } from "./http-range-reader-suite.ts";

const disk = startDiskThreads(1);
afterAll(() => disk[Symbol.asyncDispose]());

/** A reader over sockets, which its threads keep. */
async function openSocketReader(
  setup: HttpReaderSetup,
  threads: DiskThreads,
): Promise<HttpReaderUnderTest> {
  const repository = await openRegistryRepository(setup);
  return {
    reader: createSocketRangeReader(repository, threads, () => 262_144),
    requests: repository.requests,
    keepsConnections: true,
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
}

describeHttpRangeReader("sockets", (setup) => openSocketReader(setup, disk));

test("the socket reader asks for plain ranges itself, over connections that end with its threads", async () => {
  const threads = startDiskThreads(2);
  await using stage = await openStage((setup) => openSocketReader(setup, threads), {});
  for (let round = 0; round < 4; round += 1) await stage.read();
  const ranges = stage.server.requests.filter(({ first, last }) => first < last);
  // undici says so with every request.
  expect(ranges.map(({ headers }) => headers.has("connection"))).toEqual(Array(4).fill(false));
  expect(stage.server.open).toBeGreaterThan(0);
  await threads[Symbol.asyncDispose]();
  await stage.under[Symbol.asyncDispose]();
  await vi.waitFor(() => expect(stage.server.open).toBe(0));
});

test("the socket reader goes to allowed places itself, and never over what another one may use", async () => {
  const threads = startDiskThreads(1);
  await using storage = await startRawRangeServer({ content, address: "127.0.0.2" });
  const open = (setup: HttpReaderSetup) => openSocketReader(setup, threads);
  for (const guard of [undefined, { allow: ["127.0.0.2"] }]) {
    await using stage = await openStage(open, { setup: { guard } });
    stage.server.otherwise = redirect(`${storage.url}/x`);
    await stage.read();
  }
  expect(storage.requests.map(({ headers }) => headers.has("connection"))).toEqual([false, false]);
  expect(storage.connections).toBe(2);
  await using stage = await openStage(open, { setup: { guard: {} } });
  stage.server.otherwise = redirect(`${storage.url}/x`);
  expect((await stage.refused()).code).toBe("FORBIDDEN");
  expect(storage.requests).toHaveLength(2);
  await threads[Symbol.asyncDispose]();
});
