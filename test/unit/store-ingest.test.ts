import {
  appendFile,
  open as openFile,
  readdir,
  readFile,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileId, type IndexedFile } from "../../src/core/chunk-index.ts";
import { type Ingest, openIngest } from "../../src/store/ingest.ts";
import { journalHeader, journalRecord } from "../../src/store/journal.ts";
import type { Store } from "../../src/store/store.ts";
import { originOf } from "../../src/store/store-paths.ts";
import { startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { openIncomingFile } from "../../src/transfer/incoming-file.ts";
import { makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel } from "../support/store-models.ts";

const origin = originOf("registry.example.com/team/model");
const chunkBytes = 65_536;
const bytes = bytesOf("weights", 40 * chunkBytes);
const file = onlyFile(bytes);

function onlyFile(content: Buffer): IndexedFile {
  const [only] = makeModel({ file: content }).index.files;
  if (only === undefined) throw new Error("no file");
  return only;
}

function open(store: Store, bootId: string | undefined = store.bootId) {
  return openIngest({ paths: store.paths, origin, file, bootId });
}

/** Writes chunks as a transfer would. */
async function writeChunks(path: string, numbers: readonly number[]): Promise<void> {
  await using handle = await openFile(path, "r+");
  for (const number of numbers)
    await handle.write(bytes, number * chunkBytes, chunkBytes, number * chunkBytes);
}

async function recordWritten(ingest: Ingest, numbers: readonly number[]): Promise<void> {
  await writeChunks(ingest.path, numbers);
  await ingest.record(numbers);
}

describe("the write of a file", () => {
  test("shows nothing before its commit, then the whole file, read-only", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await writeChunks(ingest.path, [...file.chunks.keys()]);
    await ingest.record([...file.chunks.keys()]);
    expect(await readdir(store.paths.files)).toEqual([]);
    await ingest.commit();
    expect(await readdir(store.paths.files)).toEqual([fileId(file)]);
    expect(await readFile(store.paths.file(fileId(file)))).toEqual(bytes);
    expect((await stat(store.paths.file(fileId(file)))).mode & 0o777).toBe(0o444);
    expect(await readdir(dirname(dirname(ingest.path)))).toEqual([]);
  });

  test("refuses to commit while a chunk is missing", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await ingest.record([0]);
    await expect(ingest.commit()).rejects.toThrow("unfinished");
    expect(await readdir(store.paths.files)).toEqual([]);
  });

  test("refuses to commit a file that is too short on disk", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await ingest.record([...file.chunks.keys()]);
    await truncate(ingest.path, 10);
    await expect(ingest.commit()).rejects.toMatchObject({ code: "STORE_IO" });
    expect(await readdir(store.paths.files)).toEqual([]);
  });

  test("keeps the inode that is there when the same file is committed again", async () => {
    await using store = await makeStore();
    const path = store.paths.file(fileId(file));
    await writeFile(path, bytes);
    const before = await stat(path);
    const ingest = await open(store);
    await ingest.record([...file.chunks.keys()]);
    await ingest.commit();
    expect((await stat(path)).ino).toBe(before.ino);
    expect(await readdir(dirname(dirname(ingest.path)))).toEqual([]);
  });

  test("goes on where a run of the same boot stopped", async () => {
    await using store = await makeStore();
    await recordWritten(await open(store), [3, 1]);
    const again = await open(store);
    expect([...again.verified]).toEqual([3, 1]);
    expect(again.hints).toEqual([]);
  });

  test("asks about all chunks when the disk holds fewer bytes than the journal says", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await recordWritten(ingest, [3, 1]);
    await ingest.record([2]);
    const again = await open(store);
    expect([...again.verified]).toEqual([]);
    expect(again.hints).toEqual([3, 1, 2]);
  });

  test.each([
    ["another boot", "a-boot", "another-boot"],
    ["a system that does not tell its boot", undefined, undefined],
  ])("takes the records of %s as hints only", async (_, before, now) => {
    await using store = await makeStore();
    const options = { paths: store.paths, origin, file };
    await (await openIngest({ ...options, bootId: before })).record([3, 1]);
    const again = await openIngest({ ...options, bootId: now });
    expect([...again.verified]).toEqual([]);
    expect(again.hints).toEqual([3, 1]);
  });

  test("trusts what stands before a damaged line and asks about the rest", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await recordWritten(ingest, [5]);
    await appendFile(join(dirname(ingest.path), "journal"), "garbage\n");
    await ingest.record([6]);
    const again = await open(store);
    expect([...again.verified]).toEqual([5]);
    expect(again.hints).toHaveLength(file.chunks.length - 1);
    expect(again.hints).not.toContain(5);
  });

  test("after a torn line goes on without reading a byte, and the journal is whole again", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await recordWritten(ingest, [5]);
    await appendFile(join(dirname(ingest.path), "journal"), "12");
    const again = await open(store);
    expect([...again.verified]).toEqual([5]);
    expect(again.hints).toEqual([]);
    await recordWritten(again, [7]);
    expect([...(await open(store)).verified]).toEqual([5, 7]);
  });

  test("passes over records of chunks the file does not have", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await writeChunks(ingest.path, [39]);
    await ingest.record([39, 40, 999]);
    expect([...(await open(store)).verified]).toEqual([39]);
  });

  test("starts over when the file on disk is not as long as the journal's", async () => {
    await using store = await makeStore();
    const ingest = await open(store);
    await ingest.record([1]);
    await truncate(ingest.path, 10);
    expect([...(await open(store)).verified]).toEqual([]);
    expect((await stat(ingest.path)).size).toBe(file.size);
  });
});

describe("a file that a transfer takes up again", () => {
  test("needs the chunks whose bytes are zeros after a power loss, and no others", async () => {
    await using store = await makeStore();
    await using disk = startDiskThreads(1);
    const numbers = [...file.chunks.keys()];
    const ingest = await open(store, "the boot before");
    await writeChunks(ingest.path, [0, 1, 2, 4]);
    await ingest.record([0, 1, 2, 3, 4]);
    const incoming = await openIncomingFile(store, { origin, file, disk, begun: true });
    expect(incoming.missing).toEqual(numbers.filter((number) => ![0, 1, 2, 4].includes(number)));
    expect([...(await open(store)).verified]).toEqual([0, 1, 2, 4]);
  });

  test("is read as a whole when even the head of its journal is damaged", async () => {
    await using store = await makeStore();
    await using disk = startDiskThreads(1);
    const ingest = await open(store);
    await writeChunks(ingest.path, [7, 8]);
    const journal = journalHeader(store.bootId).replace("ballast", "Ballast") + journalRecord(9);
    await writeFile(join(dirname(ingest.path), "journal"), journal);
    const incoming = await openIncomingFile(store, { origin, file, disk, begun: true });
    expect(incoming.missing).toHaveLength(file.chunks.length - 2);
    expect(incoming.missing).not.toContain(7);
    expect(incoming.missing).not.toContain(8);
  });

  test.each([
    ["right", (small: Buffer) => small, []],
    ["other bytes", (small: Buffer) => Buffer.alloc(small.byteLength), [0]],
    ["half of it", (small: Buffer) => small.subarray(5), [0]],
  ])("small, with %s on disk, is looked at", async (_, change, missing) => {
    await using store = await makeStore();
    await using disk = startDiskThreads(1);
    const small = bytesOf("small", 1000);
    const smallFile = onlyFile(small);
    const ingest = await open(store);
    const path = join(dirname(dirname(ingest.path)), fileId(smallFile));
    await writeFile(path, change(small), { mode: 0o444 });
    const options = { origin, file: smallFile, disk, begun: true };
    expect((await openIncomingFile(store, options)).missing).toEqual(missing);
  });
});
