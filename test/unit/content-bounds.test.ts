import { createHash, hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { startContentScan } from "../../src/pack/content-bounds.ts";

const MiB = 1_048_576;
const noise = noiseOf(100 * MiB);

/** docs/format.md: sha256("ballast example 0"), sha256("ballast example 1"), ... end to end. */
function exampleBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 32)
    hash("sha256", `ballast example ${at / 32}`, "buffer").copy(bytes, at);
  return bytes;
}

/** Bytes without a pattern, the same in every run (splitmix-like, fast). */
function noiseOf(length: number): Buffer {
  const words = new Uint32Array(length / 4);
  let state = 1;
  for (let at = 0; at < words.length; at += 1) {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    words[at] = word ^ (word >>> 15);
  }
  return Buffer.from(words.buffer);
}

function chunkSizes(file: Uint8Array, blockBytes = MiB): number[] {
  const sizes: number[] = [];
  for (let start = 0; start < file.length; start += sizes.at(-1) ?? 0)
    sizes.push(nextSize(file.subarray(start), blockBytes));
  return sizes;
}

function nextSize(rest: Uint8Array, blockBytes: number): number {
  const scan = startContentScan(rest.length);
  if (typeof scan === "number") return scan;
  let size: number | undefined;
  for (let at = scan.from; size === undefined; at += blockBytes)
    size = scan.push(rest.subarray(at, at + blockBytes));
  return size;
}

const digestsOf = (file: Buffer) => {
  let start = 0;
  return chunkSizes(file).map((size) => {
    start += size;
    return createHash("sha256")
      .update(file.subarray(start - size, start))
      .digest("hex");
  });
};

test("sizes add up and all but the last are 16 to 32 MiB", () => {
  const sizes = chunkSizes(noise);
  expect(sizes.reduce((total, size) => total + size)).toBe(noise.length);
  for (const size of sizes) expect(size).toBeLessThanOrEqual(32 * MiB);
  for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThanOrEqual(16 * MiB);
});

test.each([4093, 65_536, 5 * MiB, 64 * MiB])(
  "blocks of %i bytes give the same ends as blocks of 1 MiB",
  (blockBytes) => {
    expect(chunkSizes(noise, blockBytes)).toEqual(chunkSizes(noise));
  },
);

test("one byte at a time gives the same ends", () => {
  const file = noise.subarray(0, 20 * MiB);
  expect(chunkSizes(file, 1)).toEqual(chunkSizes(file));
});

test.each([1, 7, 4096])("%i bytes inserted early change chunks only near them", (count) => {
  const inserted = Buffer.concat([
    noise.subarray(0, MiB),
    Buffer.alloc(count, 1),
    noise.subarray(MiB),
  ]);
  const before = digestsOf(noise);
  const after = digestsOf(inserted);
  expect(after[0]).not.toBe(before[0]);
  expect(after.slice(1)).toEqual(before.slice(1));
});

test.each([1, 32, MiB, 16 * MiB - 1, 16 * MiB])(
  "a rest of %i bytes is one chunk unseen",
  (rest) => {
    expect(startContentScan(rest)).toBe(rest);
  },
);

test("a file of one repeated byte is cut at 32 MiB", () => {
  expect(chunkSizes(Buffer.alloc(70 * MiB))).toEqual([32 * MiB, 32 * MiB, 6 * MiB]);
});

test("the file of the specification has the chunks that the specification says", async () => {
  const text = await readFile(new URL("../../docs/format.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| (\d{8}) \| `sha256:([0-9a-f]{64})` \|$/gm)];
  const file = exampleBytes(40 * MiB);
  expect(rows.map((row) => Number(row[1]))).toEqual(chunkSizes(file));
  expect(rows.map((row) => row[2])).toEqual(digestsOf(file));
});
