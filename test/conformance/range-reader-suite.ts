import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import type { RangeReader } from "../../src/transfer/range-reader.ts";
import { makeFolder } from "../support/store-folders.ts";
import { bytesOf } from "../support/store-models.ts";

/** A reader and the other end that a test may break. */
interface ReaderUnderTest extends AsyncDisposable {
  readonly reader: RangeReader;
  /** Cuts a stored layer so that it ends after `bytes`. */
  truncate(layer: Digest, bytes: number): Promise<void>;
}

/** Starts a reader over a source that holds `layers`. */
export type ReaderFactory = (layers: readonly Buffer[]) => Promise<ReaderUnderTest>;

const layer = bytesOf("layer", 5_000_000);
const digest = digestOf(layer);

/** What every RangeReader must do. */
export function describeRangeReader(name: string, create: ReaderFactory): void {
  describe(`${name}: a range reader`, () => {
    test("writes exactly the bytes of a range, over several files, and tells their digests", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const sizes = [1, 65_535, 3_000_000, 12_345];
      const files = sizes.map((size, at) => ({ size, at, path: join(folder.path, `file ${at}`) }));
      for (const { path } of files) await writeFile(path, Buffer.alloc(4_000_000, 7));
      const slices = files.map(({ path, size, at }) => ({ path, offset: at * 1000, size }));
      const length = sizes.reduce((sum, size) => sum + size, 0);
      let counted = 0;
      const onBytes = (bytes: number) => {
        counted += bytes;
      };
      const range = { layer: digest, offset: 777, length };
      const digests = await under.reader.readInto(range, slices, { onBytes });
      let from = 777;
      for (const { path, size, at } of files) {
        const expected = Buffer.alloc(4_000_000, 7);
        const part = layer.subarray(from, from + size);
        part.copy(expected, at * 1000);
        expect((await readFile(path)).equals(expected)).toBe(true);
        expect(digests[at]).toBe(digestOf(part));
        from += size;
      }
      expect(counted).toBe(length);
    });

    test("tells each slice once, in order, with the digest it resolves to", async () => {
      await using under = await create([layer]);
      const sizes = [1, 1_500_000, 2, 3, 2_000_000, 999];
      const slices = sizes.map((size) => ({ path: undefined, offset: 0, size }));
      const length = sizes.reduce((sum, size) => sum + size, 0);
      const told: Digest[] = [];
      const onSlices = (first: number, digests: readonly Digest[]) => {
        expect(first).toBe(told.length);
        told.push(...digests);
      };
      const range = { layer: digest, offset: 5, length };
      expect(await under.reader.readInto(range, slices, { onSlices })).toEqual(told);
      expect(told).toHaveLength(sizes.length);
    });

    test("what it told before it was stopped is on disk and stays", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const path = join(folder.path, "file");
      await writeFile(path, Buffer.alloc(layer.byteLength));
      const size = 1_000_000;
      const slices = [0, 1, 2, 3, 4].map((at) => ({ path, offset: at * size, size }));
      const stop = new AbortController();
      const told: Digest[] = [];
      const onSlices = (_: number, digests: readonly Digest[]) => {
        told.push(...digests);
        stop.abort(new Error("enough"));
      };
      const range = { layer: digest, offset: 0, length: layer.byteLength };
      const reading = under.reader.readInto(range, slices, { onSlices, signal: stop.signal });
      await expect(reading).rejects.toThrow("enough");
      const here = await readFile(path);
      const digests = slices.map(({ offset }) => digestOf(here.subarray(offset, offset + size)));
      expect(told.length).toBeGreaterThan(0);
      expect(told).toEqual(digests.slice(0, told.length));
    });

    test("reads many ranges at once without mixing them", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const path = join(folder.path, "file");
      await writeFile(path, Buffer.alloc(layer.byteLength));
      const length = 100_000;
      const offsets = Array.from({ length: 50 }, (_, at) => at * length);
      await Promise.all(
        offsets.map((offset) =>
          under.reader.readInto({ layer: digest, offset, length }, [
            { path, offset, size: length },
          ]),
        ),
      );
      expect((await readFile(path)).equals(layer)).toBe(true);
    });

    test("reads to the very end of a layer, and one byte", async () => {
      await using under = await create([layer]);
      const slice = { path: undefined, offset: 0, size: 1 };
      const range = { layer: digest, offset: layer.byteLength - 1, length: 1 };
      expect(await under.reader.readInto(range, [slice])).toEqual([digestOf(layer.subarray(-1))]);
    });

    test("hashes without writing where there is no path", async () => {
      await using under = await create([layer]);
      const size = layer.byteLength;
      const slices = [{ path: undefined, offset: 0, size }];
      expect(
        await under.reader.readInto({ layer: digest, offset: 0, length: size }, slices),
      ).toEqual([digest]);
    });

    test("tells the digest of wrong bytes as it is", async () => {
      const wrong = bytesOf("other", 1000);
      await using under = await create([wrong]);
      const slices = [
        { path: undefined, offset: 0, size: 400 },
        { path: undefined, offset: 0, size: 600 },
      ];
      const range = { layer: digestOf(wrong), offset: 0, length: 1000 };
      expect(await under.reader.readInto(range, slices)).toEqual([
        digestOf(wrong.subarray(0, 400)),
        digestOf(wrong.subarray(400)),
      ]);
    });

    test("makes the file when asked to", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const path = join(folder.path, "new");
      const range = { layer: digest, offset: 10, length: 100 };
      await under.reader.readInto(range, [{ path, offset: 0, size: 100, create: true }]);
      expect(await readFile(path)).toEqual(layer.subarray(10, 110));
    });

    test("rejects for a layer that is not there", async () => {
      await using under = await create([layer]);
      const absent = { layer: digestOf("absent"), offset: 0, length: 10 };
      const slices = [{ path: undefined, offset: 0, size: 10 }];
      await expect(under.reader.readInto(absent, slices)).rejects.toMatchObject({
        name: "ModelError",
      });
    });

    test("rejects when the source ends early", async () => {
      await using under = await create([layer]);
      await under.truncate(digest, 1_500_000);
      const slices = [{ path: undefined, offset: 0, size: 2_000_000 }];
      const range = { layer: digest, offset: 0, length: 2_000_000 };
      await expect(under.reader.readInto(range, slices)).rejects.toMatchObject({
        name: "ModelError",
      });
    });

    test("rejects with STORE_IO when the target cannot be written, and works on", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const range = { layer: digest, offset: 0, length: 3_000_000 };
      const path = join(folder.path, "absent/file");
      const failing = under.reader.readInto(range, [{ path, offset: 0, size: 3_000_000 }]);
      await expect(failing).rejects.toMatchObject({ code: "STORE_IO" });
      const slices = [{ path: undefined, offset: 0, size: 3_000_000 }];
      expect(await under.reader.readInto(range, slices)).toHaveLength(1);
    });

    test("on abort rejects with the reason and lets go of the file", async () => {
      await using folder = await makeFolder();
      await using under = await create([layer]);
      const path = join(folder.path, "file");
      await writeFile(path, Buffer.alloc(layer.byteLength));
      const stop = new AbortController();
      const reason = new Error("enough");
      const range = { layer: digest, offset: 0, length: layer.byteLength };
      const slices = [{ path, offset: 0, size: layer.byteLength }];
      let left = 2_500_000;
      const onBytes = (bytes: number) => {
        left -= bytes;
        if (left < 0) stop.abort(reason);
      };
      const reading = under.reader.readInto(range, slices, { signal: stop.signal, onBytes });
      await expect(reading).rejects.toBe(reason);
      expect(await openPaths()).not.toContain(path);
    });

    test("sends nothing when it is aborted before", async () => {
      await using under = await create([layer]);
      const slices = [{ path: undefined, offset: 0, size: 10 }];
      const signal = AbortSignal.abort(new Error("before"));
      const range = { layer: digest, offset: 0, length: 10 };
      await expect(under.reader.readInto(range, slices, { signal })).rejects.toThrow("before");
    });
  });
}

/** Files this process has open. */
async function openPaths(): Promise<string[]> {
  const numbers = await readdir("/proc/self/fd");
  return Promise.all(numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
}
