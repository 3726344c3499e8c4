import { afterAll } from "vitest";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { createBlobRangeReader } from "../../src/transfer/blob-range-reader.ts";
import { startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { describeHttpRangeReader } from "./http-range-reader-suite.ts";

const disk = startDiskThreads(1);
afterAll(() => disk[Symbol.asyncDispose]());

describeHttpRangeReader("undici", async (setup) => {
  const repository = await openRegistryRepository(setup);
  return {
    reader: createBlobRangeReader(repository, disk),
    requests: repository.requests,
    [Symbol.asyncDispose]: () => repository[Symbol.asyncDispose](),
  };
});
