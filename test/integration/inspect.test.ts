import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { inspect } from "../../src/model/inspect.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { makeGguf, makeSafetensors } from "../support/models.ts";
import { startFaultRegistry } from "../support/registry-faults.ts";
import { countProgress, openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let reference: string;

const weights = makeSafetensors([
  { name: "b", dtype: "BF16", shape: [2, 3], bytes: seededBytes("b", 12) },
  { name: "a", dtype: "F32", shape: [], bytes: seededBytes("a", 4) },
]);
const gguf = makeGguf({
  tensors: [{ name: "t", shape: [4], type: 0, bytes: seededBytes("t", 16) }],
});
const card = "---\nlicense: apache-2.0\nbase_model: org/base\n---\n# Hello\n";
const files = {
  "README.md": card,
  "model.safetensors": weights,
  "q/model.gguf": gguf,
  "damaged.safetensors": "no tensors in here",
  twin: card,
  empty: "",
};
const total = Object.values(files).reduce((sum, each) => sum + Buffer.byteLength(each), 0);

beforeEach(async () => {
  place = await openWorkplace();
  reference = place.ref("team/model:v1");
  await push({ source: await place.write("model", files), reference });
});
afterEach(async () => place[Symbol.asyncDispose]());

describe("an inspection", () => {
  test("tells files, tensors, chunks, layers and what the model says about itself", async () => {
    const result = await inspect({ reference });
    expect(result).toMatchObject({
      name: `${place.ref("team/model")}@${result.digest}`,
      artifactType: "application/vnd.ballast.model.v1+json",
      bytes: total,
      license: "apache-2.0",
      baseModel: "org/base",
      here: undefined,
    });
    const byPath = new Map(result.files.map((file) => [file.path, file]));
    expect([...byPath.keys()]).toEqual(Object.keys(files).sort());
    expect(byPath.get("model.safetensors")).toMatchObject({
      size: weights.byteLength,
      digest: undefined,
      chunks: 2,
      tensors: [
        { name: "b", dtype: "BF16", shape: [2, 3], size: 12 },
        { name: "a", dtype: "F32", shape: [], size: 4 },
      ],
    });
    expect(byPath.get("q/model.gguf")?.tensors).toEqual([
      { name: "t", dtype: "F32", shape: [4], size: expect.any(Number) as number },
    ]);
    expect(byPath.get("damaged.safetensors")?.tensors).toBeUndefined();
    expect(byPath.get("README.md")).toMatchObject({ digest: digestOf(card), chunks: 1 });
    expect(byPath.get("empty")).toMatchObject({ size: 0, chunks: 0, digest: undefined });
    expect(result.chunks).toBe(result.files.reduce((sum, file) => sum + file.chunks, 0));
    const live = result.layers.reduce((sum, layer) => sum + layer.liveBytes, 0);
    expect(live).toBe(total - Buffer.byteLength(card));
    expect(result.layers.every(({ size, liveBytes }) => size === liveBytes)).toBe(true);
  });

  test("tells how much of each layer of a base is used", async () => {
    const source = await place.write("two", { "a.bin": "aaaa", "b.bin": "bb" });
    await push({ source, reference: place.ref("base:v1") });
    const next = await place.write("next", { "a.bin": "aaaa", "c.bin": "c" });
    await push({ source: next, reference: place.ref("base:v2") });
    const { layers } = await inspect({ reference: place.ref("base:v2") });
    expect(layers.map(({ size, liveBytes }) => [size, liveBytes])).toEqual([
      [6, 4],
      [1, 1],
    ]);
  });

  test("tells what of it is in a store, without its lock", async () => {
    const store = place.inside("store");
    expect((await inspect({ reference, store })).here).toEqual({ bytes: 0, complete: false });
    await pull({ reference, store, include: ["*.md"] });
    const some = await inspect({ reference, store });
    // The twin of a file that is here need not move either.
    expect(some.here).toEqual({ bytes: 2 * Buffer.byteLength(card), complete: false });
    await pull({ reference, store });
    expect((await inspect({ reference, store })).here).toEqual({ bytes: total, complete: true });
  });

  test("reads no weights", async () => {
    const source = await place.write("big", {
      "big.safetensors": makeSafetensors([
        { name: "x", dtype: "U8", shape: [40_000_000], bytes: seededBytes("x", 40_000_000) },
      ]),
    });
    const big = `oci:${place.inside("layout")}:v1`;
    await push({ source, reference: big });
    const {
      files: [file],
    } = await inspect({ reference: big });
    expect(file?.tensors).toMatchObject([{ name: "x", size: 40_000_000 }]);
    const bytes = await readFile(join(source, "big.safetensors"));
    expect(file?.size).toBe(bytes.byteLength);
  });

  test("of what is not there is NOT_FOUND", async () => {
    await expect(inspect({ reference: place.ref("team/model:v2") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(inspect({ reference: place.ref("team/model") })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining("latest") as string,
    });
  });

  test("of a registry that cannot list what is attached has a warning instead", async () => {
    await using registry = await startFaultRegistry();
    const there = `${registry.host}/team/model:v1`;
    await push({ source: place.inside("model"), reference: there });
    registry.intercept = ({ url }) =>
      url.includes("/referrers/") ? { status: 403, body: "{}" } : undefined;
    const { onProgress, messages } = countProgress();
    const result = await inspect({ reference: there, onProgress });
    expect(result.attached).toBeUndefined();
    expect(result.bytes).toBe(total);
    expect(messages).toEqual([expect.stringMatching(/^what is attached .* FORBIDDEN|403/)]);
  });
});
