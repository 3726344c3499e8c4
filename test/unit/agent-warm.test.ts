import { describe, expect, test } from "vitest";
import { loadOrder, warmTree } from "../../src/agent/warm.ts";
import { makeTemporaryFolder, writeTree } from "../support/models.ts";

const mebi = 1_048_576;

describe("a tree is warmed", () => {
  test("in load order: what is small, then shards as the safetensors index names them", async () => {
    await using folder = await makeTemporaryFolder();
    const weights = { b: "second.safetensors", a: "first.safetensors", c: "second.safetensors" };
    await writeTree(folder.path, {
      "first.safetensors": Buffer.alloc(10),
      "second.safetensors": Buffer.alloc(20),
      "model.safetensors.index.json": JSON.stringify({ weight_map: weights }),
      "config.json": "{}",
      "sub/tokenizer.json": "x".repeat(500),
    });
    expect(await loadOrder(folder.path)).toEqual([
      "config.json",
      "model.safetensors.index.json",
      "sub/tokenizer.json",
      "second.safetensors",
      "first.safetensors",
    ]);
    expect(await warmTree(folder.path)).toMatchObject({ stoppedEarly: false });
  });

  test("whole where there is memory, with the bytes of all files", async () => {
    await using folder = await makeTemporaryFolder();
    await writeTree(folder.path, { a: Buffer.alloc(9 * mebi), b: Buffer.alloc(4 * mebi), c: "" });
    const memory = async () => ({ available: 80 * mebi, total: 100 * mebi });
    expect(await warmTree(folder.path, { memory })).toEqual({
      bytes: 13 * mebi,
      stoppedEarly: false,
    });
  });

  test("until a fifth of the machine's memory is left", async () => {
    await using folder = await makeTemporaryFolder();
    await writeTree(folder.path, { a: Buffer.alloc(20 * mebi) });
    let available = 32 * mebi;
    const memory = async () => {
      const now = { available, total: 100 * mebi };
      available -= 4 * mebi;
      return now;
    };
    expect(await warmTree(folder.path, { memory })).toEqual({
      bytes: 12 * mebi,
      stoppedEarly: true,
    });
  });

  test("no further than its caller wants", async () => {
    await using folder = await makeTemporaryFolder();
    await writeTree(folder.path, { a: Buffer.alloc(8 * mebi) });
    const signal = AbortSignal.abort(new Error("left"));
    await expect(warmTree(folder.path, { signal })).rejects.toThrow("left");
  });
});
