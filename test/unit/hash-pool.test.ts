import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { createHashPool } from "../../src/pack/hash-pool.ts";

function shared(bytes: Uint8Array): Uint8Array<SharedArrayBuffer>[] {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return [copy];
}

test("several hashers at once, more than threads, give the digests of what each was fed", async () => {
  await using pool = createHashPool({ threads: 2 });
  const pieces = fc.array(fc.array(fc.uint8Array({ maxLength: 200 })), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(pieces, async (layers) => {
      const hashers = layers.map(() => pool.createLayerHasher());
      const rounds = Math.max(0, ...layers.map((layer) => layer.length));
      const updates = Array.from({ length: rounds }, (_, round) =>
        hashers.map((hasher, at) => hasher.update(shared(layers[at]?.[round] ?? new Uint8Array()))),
      );
      await Promise.all(updates.flat());
      expect(await Promise.all(hashers.map((hasher) => hasher.digest()))).toEqual(
        layers.map((layer) => digestOf(Buffer.concat(layer))),
      );
    }),
    { numRuns: 50 },
  );
});

test("a hasher that ended takes no more, one that was dropped is forgotten", async () => {
  await using pool = createHashPool({ threads: 1 });
  const ended = pool.createLayerHasher();
  expect(await ended.digest()).toBe(digestOf(""));
  await expect(ended.update(shared(Buffer.from("a")))).rejects.toThrow("has ended");
  await expect(ended.digest()).rejects.toThrow("has ended");
  {
    await using dropped = pool.createLayerHasher();
    await dropped.update(shared(Buffer.from("x")));
  }
  const fresh = pool.createLayerHasher();
  await fresh.update(shared(Buffer.from("a")));
  expect(await fresh.digest()).toBe(digestOf("a"));
});

test("an open hasher of a pool that is gone rejects with CANCELLED", async () => {
  const pool = createHashPool({ threads: 1 });
  const hasher = pool.createLayerHasher();
  await pool[Symbol.asyncDispose]();
  await expect(hasher.update(shared(Buffer.from("a")))).rejects.toMatchObject({
    code: "CANCELLED",
  });
  await hasher[Symbol.asyncDispose]();
});

test("no thread at all is refused", () => {
  expect(() => createHashPool({ threads: 0 })).toThrow("threads is 0");
});
