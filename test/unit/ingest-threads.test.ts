import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contentDigestOf } from "../../src/core/digest.ts";
import { createIngestThreads, type IngestThreads } from "../../src/oci/layout/ingest-threads.ts";

const mebi = 1_048_576;
let folder: string;
let threads: IngestThreads;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ingest-"));
  threads = createIngestThreads();
});
afterEach(async () => {
  await threads[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

describe("threads that write blobs", () => {
  test.each(["sha256", "sha512"] as const)(
    "go on behind what a file has, in the order asked, for its %s",
    async (algorithm) => {
      const bytes = randomBytes(9 * mebi);
      const path = join(folder, "blob");
      await writeFile(path, bytes.subarray(0, 1_500_000));
      const stream = threads.open({ path, size: 1_500_000, algorithm });
      const fd = openSync(path, "a");
      for (let at = 1_500_000, length = 1; at < bytes.byteLength; at += length, length += 40_000)
        await stream.write(fd, [copyOf(bytes, at, at + length)]);
      await stream.flush();
      closeSync(fd);
      expect(stream.written).toBe(bytes.byteLength - 1_500_000);
      expect(await stream.digest()).toBe(contentDigestOf(bytes, algorithm));
      expect((await readFile(path)).equals(bytes)).toBe(true);
    },
  );

  test("keep the blobs of many apart", async () => {
    const write = async (index: number) => {
      const bytes = randomBytes(3 * mebi + index);
      const path = join(folder, `${index}`);
      const fd = openSync(path, "a");
      const stream = threads.open({ path, size: 0, algorithm: "sha256" });
      for (let at = 0; at < bytes.byteLength; at += 100_000)
        await stream.write(fd, [
          copyOf(bytes, at, at + 50_000),
          copyOf(bytes, at + 50_000, at + 100_000),
        ]);
      await stream.flush();
      closeSync(fd);
      expect(await stream.digest()).toBe(contentDigestOf(bytes, "sha256"));
      expect((await readFile(path)).equals(bytes)).toBe(true);
    };
    await Promise.all(Array.from({ length: 9 }, (_, index) => write(index)));
  });

  test("take the memory of a piece away, unless others use it", async () => {
    const path = join(folder, "blob");
    const fd = openSync(path, "a");
    const stream = threads.open({ path, size: 0, algorithm: "sha256" });
    const whole = new Uint8Array(1000).fill(1);
    const shared = new Uint8Array(2000).fill(2);
    await stream.write(fd, [whole, shared.subarray(500, 1500)]);
    await stream.flush();
    closeSync(fd);
    expect([whole.byteLength, shared.byteLength]).toEqual([0, 2000]);
    expect(await readFile(path)).toEqual(
      Buffer.concat([Buffer.alloc(1000, 1), Buffer.alloc(1000, 2)]),
    );
  });

  test("write nothing behind a write that failed, and say so with the system's code", async () => {
    const path = join(folder, "blob");
    await writeFile(path, "");
    const [full, good] = [openSync("/dev/full", "a"), openSync(path, "a")];
    const stream = threads.open({ path, size: 0, algorithm: "sha256" });
    await stream.write(full, [new Uint8Array(1000)]);
    await stream.write(good, [new Uint8Array(1000)]).catch(() => undefined);
    await expect(stream.flush()).rejects.toMatchObject({ code: "ENOSPC", syscall: "write" });
    await expect(stream.write(good, [new Uint8Array(1000)])).rejects.toMatchObject({
      code: "ENOSPC",
    });
    expect(await readFile(path)).toHaveLength(0);
    await stream.forget();
    const next = threads.open({ path, size: 0, algorithm: "sha256" });
    await next.write(good, [new Uint8Array(1000)]);
    await next.flush();
    expect(await next.digest()).toBe(contentDigestOf(new Uint8Array(1000), "sha256"));
    for (const fd of [full, good]) closeSync(fd);
  });

  test("say when the file that they should go on with is gone", async () => {
    const stream = threads.open({ path: join(folder, "gone"), size: 1, algorithm: "sha256" });
    await expect(stream.flush()).rejects.toMatchObject({ code: "ENOENT", syscall: "open" });
    await stream.forget();
  });

  test("that are stopped in the middle reject with CANCELLED", async () => {
    const path = join(folder, "blob");
    const fd = openSync(path, "a");
    const stream = threads.open({ path, size: 0, algorithm: "sha256" });
    await stream.write(fd, [new Uint8Array(mebi)]);
    await threads[Symbol.asyncDispose]();
    await expect(stream.flush()).rejects.toMatchObject({ code: "CANCELLED" });
    await stream.forget();
    closeSync(fd);
  });
});

function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.subarray(from, to));
}
