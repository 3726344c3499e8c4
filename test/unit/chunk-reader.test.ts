import { randomFillSync } from "node:crypto";
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { maxChunkBytes } from "../../src/core/chunk-index.ts";
import { forEachConcurrently } from "../../src/core/concurrently.ts";
import { digestOf } from "../../src/core/digest.ts";
import { openReadingThreads, readChunks, readSlices } from "../../src/pack/chunk-reader.ts";
import type { ReadChunk, ReadingThreads } from "../../src/pack/read-jobs.ts";
import { stampReadableFile } from "../../src/source/file-stamp.ts";
import type { SourceFile } from "../../src/source/source.ts";

const MiB = 1_048_576;
let folder: string;
let threads: ReadingThreads;

beforeEach(async () => {
  threads = openReadingThreads();
  folder = await mkdtemp(join(tmpdir(), "ballast-chunks-"));
});
afterEach(async () => {
  await threads[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function listed(path: string): Promise<SourceFile> {
  const location = join(folder, path);
  const stamp = await stampReadableFile(location);
  if (stamp === undefined) throw new Error(`${path} is no file`);
  return { path, size: stamp.size, location, stamp };
}

async function write(path: string, bytes: Uint8Array): Promise<SourceFile> {
  await writeFile(join(folder, path), bytes);
  return listed(path);
}

const noise = (size: number) => randomFillSync(Buffer.alloc(size));

/** A safetensors file of U8 tensors of these sizes. */
function safetensors(sizes: readonly number[]): Buffer {
  let end = 0;
  const entries = sizes.map((size, at) => {
    end += size;
    return [`t.${at}.w`, { dtype: "U8", shape: [size], data_offsets: [end - size, end] }];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, noise(end)]);
}

async function collect(chunks: AsyncIterable<ReadChunk>): Promise<ReadChunk[]> {
  const seen: ReadChunk[] = [];
  for await (const chunk of chunks) {
    seen.push(chunk);
    chunk.release();
  }
  return seen;
}

function read(
  files: readonly SourceFile[],
  options: Partial<Parameters<typeof readChunks>[1]> = {},
) {
  return readChunks(files, { threads, ...options });
}

/** Threads count too: each has descriptors of its own to wait on. */
async function openFiles(): Promise<number> {
  return (await readdir("/proc/self/fd")).length;
}

describe("readChunks", () => {
  test("yields exactly the bytes of each file, in order", async () => {
    const contents = new Map<string, Buffer>([
      ["0-empty", Buffer.alloc(0)],
      ["1-byte", noise(1)],
      ["2-below", noise(MiB - 1)],
      ["3-at", noise(MiB)],
      ["4-above", noise(MiB + 1)],
      ["5-empty", Buffer.alloc(0)],
      ["6-small", noise(100)],
      ["7-min-1", noise(16 * MiB - 1)],
      ["8-min", noise(16 * MiB)],
      ["9-min+1", noise(16 * MiB + 1)],
      ["a.bin", noise(40 * MiB)],
      ["b.safetensors", safetensors([10, 35 * MiB, 0, 9 * MiB, 100])],
      ["c-small", noise(5)],
    ]);
    const files: SourceFile[] = [];
    for (const [path, bytes] of contents) files.push(await write(path, bytes));
    const warnings: string[] = [];
    let order = -1;
    const ends = new Map<string, number>();
    for await (const chunk of read(files, { onWarning: (text) => warnings.push(text) })) {
      const { path } = chunk.file;
      expect(files.indexOf(chunk.file)).toBeGreaterThanOrEqual(order);
      order = files.indexOf(chunk.file);
      expect(chunk.offset).toBe(ends.get(path) ?? 0);
      ends.set(path, chunk.offset + chunk.size);
      const expected = contents.get(path)?.subarray(chunk.offset, chunk.offset + chunk.size);
      expect(expected?.equals(Buffer.concat(chunk.bytes))).toBe(true);
      expect(chunk.digest).toBe(digestOf(expected ?? ""));
      expect(chunk.size).toBeLessThanOrEqual(maxChunkBytes);
      chunk.release();
    }
    for (const { path, size } of files) expect(ends.get(path) ?? 0).toBe(size);
    expect(warnings).toEqual([]);
  });

  test("cuts the same whatever the number of threads and the memory", async () => {
    const files = [
      await write("a", noise(70 * MiB)),
      await write("b.safetensors", safetensors([20 * MiB, 1, 2])),
    ];
    const cuts = async (count: number, budgetBytes: number) => {
      await using pool = openReadingThreads(count);
      const chunks = await collect(read(files, { threads: pool, budgetBytes }));
      return chunks.map(({ file, offset, size, digest }) => [file.path, offset, size, digest]);
    };
    expect(await cuts(1, maxChunkBytes)).toEqual(await cuts(3, 200 * MiB));
  });

  test("reads 20,000 small files in their order", async () => {
    const names = Array.from({ length: 1000 }, (_, at) => `f${at}`);
    await mkdir(join(folder, "many"));
    const once: SourceFile[] = [];
    await forEachConcurrently(names.entries(), 32, async ([at, name]) => {
      once[at] = await write(`many/${name}`, Buffer.from(name));
    });
    // Files take longer to write than to read.
    const files = Array.from({ length: 20 }, () => once.map((file) => ({ ...file }))).flat();
    let at = 0;
    for await (const chunk of read(files)) {
      expect(chunk.file).toBe(files[at]);
      if (at % 777 === 0) expect(chunk.digest).toBe(digestOf(names[at % 1000] ?? ""));
      at += 1;
      chunk.release();
    }
    expect(at).toBe(20_000);
  });

  test("warns of a damaged header and still yields every byte", async () => {
    const bytes = safetensors([1000]).subarray(0, -1);
    const warnings: string[] = [];
    const file = await write("m.safetensors", bytes);
    const chunks = await collect(read([file], { onWarning: (text) => warnings.push(text) }));
    expect(chunks.map(({ digest }) => digest)).toEqual([digestOf(bytes)]);
    expect(warnings).toEqual([expect.stringContaining('"m.safetensors"')]);
  });

  test("a consumer may hold the budget less 36 MiB, whatever sizes it holds", async () => {
    const sizes = [17, 30, 3, 1, 25, 32, 9, 14, 31, 20, 28].map((size) => size * MiB - size);
    const files = [await write("m.safetensors", safetensors(sizes))];
    const budgetBytes = 96 * MiB;
    const held: ReadChunk[] = [];
    let heldBytes = 0;
    let total = 0;
    for await (const chunk of read(files, { budgetBytes })) {
      total += chunk.size;
      held.push(chunk);
      heldBytes += chunk.size;
      while (heldBytes > budgetBytes - maxChunkBytes - 4 * MiB) {
        // Letting go of the newest and the oldest in turn leaves the free memory in pieces.
        const released = held.length % 2 === 0 ? held.pop() : held.shift();
        heldBytes -= released?.size ?? 0;
        released?.release();
      }
      const [oldest] = held;
      if (oldest !== undefined) expect(digestOf(Buffer.concat(oldest.bytes))).toBe(oldest.digest);
    }
    expect(total).toBe(files[0]?.size);
  });

  test("what is held stays untouched while reading goes on", async () => {
    const files = [await write("a", noise(20 * MiB)), await write("b", noise(60 * MiB))];
    const reader = read(files, { budgetBytes: 64 * MiB });
    const first = (await reader.next()).value;
    if (first === undefined) throw new Error("no chunk");
    await collect(reader);
    expect(digestOf(Buffer.concat(first.bytes))).toBe(first.digest);
  });
});

describe("a file that is not what it was when listed", () => {
  const large = () => write("m.bin", noise(18 * MiB));

  test.each<[string, (file: SourceFile) => Promise<void>]>([
    ["grew", (file) => appendFile(file.location, "x")],
    ["shrank", (file) => truncate(file.location, file.size - 1)],
    ["was touched", (file) => utimes(file.location, 1, 1)],
    ["is gone", (file) => rm(file.location)],
    [
      "was replaced by another",
      async (file) => {
        await writeFile(`${file.location}.new`, Buffer.alloc(file.size));
        await rename(`${file.location}.new`, file.location);
      },
    ],
  ])("rejects with SOURCE_CHANGED when it %s", async (_, change) => {
    for (const file of [
      await large(),
      await write("small", noise(10)),
      await write("m.gguf", noise(10)),
    ]) {
      await change(file);
      await expect(collect(read([file]))).rejects.toMatchObject({
        code: "SOURCE_CHANGED",
        message: expect.stringContaining(JSON.stringify(file.path)),
      });
    }
  });

  test.each<[string, (file: SourceFile) => Promise<void>]>([
    ["grows", (file) => appendFile(file.location, "x")],
    ["shrinks", (file) => truncate(file.location, 40 * MiB)],
  ])("rejects with SOURCE_CHANGED when it %s while it is read", async (_, change) => {
    const file = await write("m.safetensors", safetensors([20 * MiB, 20 * MiB, 20 * MiB]));
    const reader = read([file], { budgetBytes: 33 * MiB });
    const chunks = [(await reader.next()).value, (await reader.next()).value];
    await change(file);
    for (const chunk of chunks) chunk?.release();
    await expect(collect(reader)).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  });

  test("the chunks before it still arrive", async () => {
    const good = await write("a", noise(2 * MiB));
    const bad = await write("b", noise(2 * MiB));
    await appendFile(bad.location, "x");
    const reader = read([good, bad]);
    expect((await reader.next()).value?.file).toBe(good);
    await expect(reader.next()).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  });
});

test("a file that cannot be opened rejects with SOURCE_UNREADABLE and its path", async () => {
  const file = await write("a.bin", noise(3));
  const location = join(folder, "b".repeat(300));
  await expect(collect(read([{ ...file, location }]))).rejects.toMatchObject({
    code: "SOURCE_UNREADABLE",
    message: expect.stringContaining('"a.bin"'),
  });
});

test("less memory than a chunk takes, and no thread at all, are refused with INVALID_ARGUMENT", async () => {
  const refused = { code: "INVALID_ARGUMENT" };
  const small = read([], { budgetBytes: maxChunkBytes - 1 });
  await expect(collect(small)).rejects.toMatchObject(refused);
  expect(() => openReadingThreads(0)).toThrow(expect.objectContaining(refused));
});

describe("when reading ends early", () => {
  const files = async () => [await write("a.bin", noise(90 * MiB)), await write("b", noise(3))];
  async function leavesNothingOpen(work: () => Promise<void>): Promise<boolean> {
    const before = await openFiles();
    await work();
    await threads[Symbol.asyncDispose]();
    return (await openFiles()) === before;
  }

  test("because the consumer stops, no thread and no file stays", async () => {
    const stopping = async () => {
      for await (const chunk of read(await files())) {
        expect(chunk.offset).toBe(0);
        break;
      }
    };
    expect(await leavesNothingOpen(stopping)).toBe(true);
  });

  test("because the consumer throws, no thread and no file stays", async () => {
    const failing = async () => {
      for await (const chunk of read(await files())) throw new Error(chunk.file.path);
    };
    const throwing = () => expect(failing()).rejects.toThrow("a.bin");
    expect(await leavesNothingOpen(throwing)).toBe(true);
  });

  test("because the signal aborts, it rejects with the reason, even while memory is awaited", async () => {
    const aborting = async () => {
      const abort = new AbortController();
      const options = { budgetBytes: 48 * MiB, signal: abort.signal };
      const reader = read(await files(), options);
      await reader.next();
      const second = reader.next();
      abort.abort(new Error("enough"));
      await expect(second).rejects.toThrow("enough");
      expect(await reader.next()).toEqual({ done: true, value: undefined });
    };
    expect(await leavesNothingOpen(aborting)).toBe(true);
  });

  test("because the signal was aborted before, nothing is read", async () => {
    const reader = read(await files(), { signal: AbortSignal.abort(new Error("never")) });
    await expect(reader.next()).rejects.toThrow("never");
  });
});

describe("readSlices", () => {
  test("reads known slices in the order asked", async () => {
    const bytes = noise(3 * MiB);
    const file = await write("m.bin", bytes);
    const slices = [MiB, 0, 2 * MiB].map((offset) => {
      const size = MiB;
      return { file, offset, size, digest: digestOf(bytes.subarray(offset, offset + size)) };
    });
    const seen = await collect(readSlices(slices, { threads }));
    expect(seen.map(({ offset, digest }) => ({ offset, digest }))).toEqual(
      slices.map(({ offset, digest }) => ({ offset, digest })),
    );
  });

  test("rejects with SOURCE_CHANGED when a slice has other bytes, though the stamp is the same", async () => {
    const file = await write("m.bin", noise(100));
    const slice = { file, offset: 50, size: 50, digest: digestOf("other") };
    await expect(collect(readSlices([slice], { threads }))).rejects.toMatchObject({
      code: "SOURCE_CHANGED",
      message: expect.stringContaining('"m.bin"'),
    });
  });
});
