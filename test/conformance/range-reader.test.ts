import { truncate } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Digest, digestHex, digestOf } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import {
  type BlobSource,
  createBlobRangeReader,
  createSocketRangeReader,
} from "../../src/transfer/blob-range-reader.ts";
import { type DiskThreads, startDiskThreads } from "../../src/transfer/disk-threads.ts";
import type { RangeReader } from "../../src/transfer/range-reader.ts";
import { makeFolder } from "../support/store-folders.ts";
import { describeRangeReader, type ReaderFactory } from "./range-reader-suite.ts";

const overLayout: ReaderFactory = async (layers) => {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await makeFolder());
  const layout = stack.use(await openLayout(folder.path, { create: true }));
  for (const layer of layers)
    await layout.putBlob({ digest: digestOf(layer), size: layer.byteLength }, () => [layer]);
  const disk = stack.use(startDiskThreads(2));
  const owned = stack.move();
  return {
    reader: createBlobRangeReader(layout, disk),
    truncate: (digest, bytes) => truncate(layout.blobs.path(digest), bytes),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
};

type CreateReader = (source: BlobSource, disk: DiskThreads) => RangeReader;

const overHttp =
  (createReader: CreateReader): ReaderFactory =>
  async (layers) => {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await makeFolder());
    const server = stack.use(await startRegistry({ root: folder.path }));
    const repository = stack.use(
      await openRegistryRepository({
        host: server.address,
        repository: "team/model",
        writes: true,
        retry: { attempts: 2, baseDelayMs: 1, maxDelayMs: 2 },
      }),
    );
    for (const layer of layers)
      await repository.putBlob({ digest: digestOf(layer), size: layer.byteLength }, () => [layer]);
    const disk = stack.use(startDiskThreads(2));
    const owned = stack.move();
    return {
      reader: createReader(repository, disk),
      truncate: (digest, bytes) =>
        truncate(join(folder.path, "team+model/blobs/sha256", digestHex(digest)), bytes),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  };

describeRangeReader("blobs of an OCI layout", overLayout);
describeRangeReader("blobs over HTTP", overHttp(createBlobRangeReader));
describeRangeReader(
  "blobs over sockets",
  overHttp((source, disk) => createSocketRangeReader(source, disk, () => 262_144)),
);

test("over sockets no byte of a plain answer takes another way", async () => {
  await using folder = await makeFolder();
  await using server = await startRegistry({ root: folder.path });
  const options = { host: server.address, repository: "team/model", writes: true };
  await using repository = await openRegistryRepository(options);
  const layer = Buffer.alloc(3_000_000, "layer");
  const digest = digestOf(layer);
  await repository.putBlob({ digest, size: layer.byteLength }, () => [layer]);
  await using disk = startDiskThreads(2);
  const source = {
    name: repository.name,
    statBlob: () => Promise.resolve(layer.byteLength),
    locateBlob: (blob: Digest) => repository.locateBlob(blob),
    readBlob: () => {
      throw new Error("read as a stream");
    },
  };
  const reader = createSocketRangeReader(source, disk, () => 262_144);
  const slices = [{ path: undefined, offset: 0, size: layer.byteLength }];
  const range = { layer: digest, offset: 0, length: layer.byteLength };
  expect(await reader.readInto(range, slices)).toEqual([digest]);
});

test.each([
  ["fewer bytes", 900],
  ["more bytes", 1100],
])("a source that serves %s than were asked for is an error of the source", async (_, size) => {
  await using disk = startDiskThreads(1);
  const source = {
    name: "registry.example.com/team/model",
    statBlob: () => Promise.resolve(size),
    // biome-ignore lint/suspicious/useAwait: the interface is asynchronous
    readBlob: async function* () {
      yield Buffer.alloc(size);
    },
  };
  const reader = createBlobRangeReader(source, disk);
  const range = { layer: digestOf("layer"), offset: 0, length: 1000 };
  const slices = [{ path: undefined, offset: 0, size: 1000 }];
  await expect(reader.readInto(range, slices)).rejects.toMatchObject({
    code: "REGISTRY_PROTOCOL",
    message: expect.stringContaining("registry.example.com/team/model"),
  });
});
