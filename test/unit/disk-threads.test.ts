import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { makeFolder } from "../support/store-folders.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

const idleMs = 1000;

test("threads without work end, and others start with the next work", async () => {
  await using folder = await makeFolder();
  const path = join(folder.path, "file");
  await writeFile(path, "content");
  await using disk = startDiskThreads(2, { idleMs });
  expect(disk.running).toBe(0);
  for (let round = 0; round < 2; round += 1) {
    expect(await disk.hash([{ path, offset: 0, size: 7 }])).toEqual([digestOf("content")]);
    vi.advanceTimersByTime(idleMs);
    expect(disk.running).toBe(1);
    vi.advanceTimersByTime(idleMs);
    expect(disk.running).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  }
});

test("a thread with an open stream stays, however long nothing comes", async () => {
  await using disk = startDiskThreads(2, { idleMs });
  const stream = disk.openStream([{ path: undefined, offset: 0, size: 7 }]);
  await stream.write(Buffer.from("con"));
  disk.start();
  expect(disk.running).toBe(2);
  vi.advanceTimersByTime(10 * idleMs);
  expect(disk.running).toBe(1);
  await stream.write(Buffer.from("tent"));
  expect(await stream.end()).toEqual([digestOf("content")]);
  vi.advanceTimersByTime(2 * idleMs);
  expect(disk.running).toBe(0);
});

test("after their end they take no work", async () => {
  const disk = startDiskThreads(1);
  await disk[Symbol.asyncDispose]();
  await expect(disk.hash([])).rejects.toMatchObject({ code: "CANCELLED" });
  expect(disk.running).toBe(0);
});
