import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { diff } from "../../src/model/diff.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { makeSafetensors } from "../support/models.ts";
import { openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

const size = 9_000_000;
const weights = (tensors: Readonly<Record<string, string>>) =>
  makeSafetensors(
    Object.entries(tensors).map(([name, seed]) => ({
      name,
      dtype: "U8",
      shape: [size],
      bytes: seededBytes(seed, size),
    })),
  );

describe("a comparison", () => {
  test("tells files, tensors and bytes that someone who has the one must fetch for the other", async () => {
    const v1 = await place.write("v1", {
      "model.safetensors": weights({ same: "s", tuned: "t1", dropped: "d" }),
      same: "same",
      gone: "gone",
      changed: "before",
    });
    const v2 = await place.write("v2", {
      "model.safetensors": weights({ same: "s", tuned: "t2", fresh: "f" }),
      same: "same",
      changed: "after!",
      copied: "gone",
    });
    const [from, to] = [place.ref("a:v1"), place.ref("a:v2")];
    await push({ source: v1, reference: from });
    await push({ source: v2, reference: to });
    const result = await diff({ from, to });
    const header = (name: string) => result.files.find((file) => file.path === name)?.moved ?? 0;
    expect(result.tensors).toEqual({
      added: ["fresh"],
      removed: ["dropped"],
      changed: ["tuned"],
      unchanged: 1,
    });
    expect(result.files.map(({ path, change }) => [path, change])).toEqual([
      ["changed", "changed"],
      ["copied", "added"],
      ["gone", "removed"],
      ["model.safetensors", "changed"],
    ]);
    expect(header("copied")).toBe(0);
    expect(header("changed")).toBe(6);
    expect(header("model.safetensors")).toBeGreaterThan(2 * size);
    expect(header("model.safetensors")).toBeLessThan(2 * size + 1000);
    expect(result.unchangedFiles).toBe(1);
    expect(result.bytes.moved).toBe(header("model.safetensors") + 6);
    expect(result.bytes.moved + result.bytes.reused).toBe(result.bytes.total);
    const store = place.inside("store");
    await pull({ reference: from, store });
    expect((await pull({ reference: to, store })).bytes).toEqual(result.bytes);
  });

  test("of a model with itself is empty, wherever it lies", async () => {
    const source = await place.write("v1", { "model.safetensors": weights({ a: "a" }) });
    const [from, to] = [place.ref("a:v1"), `oci:${place.inside("layout")}:v1`];
    await push({ source, reference: from });
    await push({ source, reference: to });
    const result = await diff({ from, to });
    expect(result).toMatchObject({ files: [], unchangedFiles: 1, bytes: { moved: 0 } });
    expect(result.tensors).toEqual({ added: [], removed: [], changed: [], unchanged: 1 });
  });

  test("calls a tensor of another type changed, though its bytes are the same", async () => {
    const bytes = seededBytes("x", 16);
    const tensor = (dtype: string, shape: number[]) =>
      makeSafetensors([{ name: "x", dtype, shape, bytes }]);
    const [from, to] = [place.ref("a:v1"), place.ref("a:v2")];
    await push({
      source: await place.write("v1", { "m.safetensors": tensor("F32", [4]) }),
      reference: from,
    });
    await push({
      source: await place.write("v2", { "m.safetensors": tensor("F16", [8]) }),
      reference: to,
    });
    expect((await diff({ from, to })).tensors.changed).toEqual(["x"]);
  });

  test("of a tensor that moved to another shard costs nothing", async () => {
    const [from, to] = [place.ref("a:v1"), place.ref("a:v2")];
    const one = await place.write("v1", { "m.safetensors": weights({ a: "a", b: "b" }) });
    const two = await place.write("v2", {
      "m-1.safetensors": weights({ a: "a" }),
      "m-2.safetensors": weights({ b: "b" }),
    });
    await push({ source: one, reference: from });
    await push({ source: two, reference: to });
    const { tensors, bytes } = await diff({ from, to });
    expect(tensors).toEqual({ added: [], removed: [], changed: [], unchanged: 2 });
    expect(bytes.moved).toBeLessThan(1000);
  });
});
