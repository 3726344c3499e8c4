import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { createSliceWriter } from "../../src/transfer/slice-writer.ts";
import { makeFolder } from "../support/store-folders.ts";
import { bytesOf } from "../support/store-models.ts";

describe("a slice writer", () => {
  test("puts each byte of the stream at its place, however the stream is cut", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "file");
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
    const cuts = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, cuts, async (sliceSizes, cutSizes) => {
        const total = sliceSizes.reduce((sum, size) => sum + size, 0);
        const bytes = bytesOf("stream", total);
        await writeFile(path, Buffer.alloc(total, 1));
        // Placed back to front, so that a slice at a wrong place shows.
        let end = total;
        const slices = sliceSizes.map((size) => ({ path, offset: (end -= size), size }));
        const writer = createSliceWriter(slices);
        for (let at = 0, turn = 0; at < total; turn += 1) {
          const cut = cutSizes[turn % cutSizes.length] ?? 1;
          writer.write(bytes.subarray(at, at + cut));
          at += cut;
        }
        const digests = writer.end();
        const written = await readFile(path);
        let from = 0;
        for (const [number, { offset, size }] of slices.entries()) {
          const expected = bytes.subarray(from, from + size);
          expect(written.subarray(offset, offset + size)).toEqual(expected);
          expect(digests[number]).toBe(digestOf(expected));
          from += size;
        }
      }),
      { numRuns: 50 },
    );
  });

  test("without a path only hashes", () => {
    const writer = createSliceWriter([{ path: undefined, offset: 7, size: 3 }]);
    writer.write(Buffer.from("abc"));
    expect(writer.end()).toEqual([digestOf("abc")]);
  });

  test("makes a file read-only, in place of one that an earlier attempt left", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "file");
    await writeFile(path, "something longer", { mode: 0o444 });
    const writer = createSliceWriter([{ path, offset: 0, size: 3, create: true }]);
    writer.write(Buffer.from("abc"));
    writer.end();
    expect(await readFile(path, "utf8")).toBe("abc");
    expect((await stat(path)).mode & 0o777).toBe(0o444);
  });

  test("refuses more bytes, and fewer, than its slices hold", () => {
    const slices = [{ path: undefined, offset: 0, size: 3 }];
    expect(() => createSliceWriter(slices).write(Buffer.from("abcd"))).toThrow("more bytes");
    const short = createSliceWriter(slices);
    short.write(Buffer.from("ab"));
    expect(() => short.end()).toThrow("fewer bytes");
  });

  test("does not make a file that should be there", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "absent");
    const writer = createSliceWriter([{ path, offset: 0, size: 3 }]);
    expect(() => writer.write(Buffer.from("abc"))).toThrow("ENOENT");
  });
});
