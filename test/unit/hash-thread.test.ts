import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { createHashThread } from "../../src/pack/hash-thread.ts";

function shared(bytes: Uint8Array): Uint8Array<SharedArrayBuffer>[] {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return [copy];
}

test("several hashers at once give the digests of what each was fed", async () => {
  await using thread = createHashThread();
  const pieces = fc.array(fc.array(fc.uint8Array({ maxLength: 200 })), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(pieces, async (layers) => {
      const hashers = layers.map(() => thread.createLayerHasher());
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
  await using thread = createHashThread();
  const ended = thread.createLayerHasher();
  expect(await ended.digest()).toBe(digestOf(""));
  await expect(ended.update(shared(Buffer.from("a")))).rejects.toThrow("has ended");
  await expect(ended.digest()).rejects.toThrow("has ended");
  {
    await using dropped = thread.createLayerHasher();
    await dropped.update(shared(Buffer.from("x")));
  }
  const fresh = thread.createLayerHasher();
  await fresh.update(shared(Buffer.from("a")));
  expect(await fresh.digest()).toBe(digestOf("a"));
});

test("an open hasher of a thread that is gone rejects with CANCELLED", async () => {
  const thread = createHashThread();
  const hasher = thread.createLayerHasher();
  await thread[Symbol.asyncDispose]();
  await expect(hasher.update(shared(Buffer.from("a")))).rejects.toMatchObject({
    code: "CANCELLED",
  });
  await hasher[Symbol.asyncDispose]();
});
