import { readdir, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { verify } from "../../src/model/verify.ts";
import { putRawModel, rawModel } from "../support/hostile-model.ts";
import { countProgress, flipBit, openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let reference: string;
let total: number;

beforeEach(async () => {
  place = await openWorkplace();
  reference = place.ref("team/model:v1");
  total = (await push({ source: await place.writeModel(), reference })).bytes.total;
});
afterEach(async () => place[Symbol.asyncDispose]());

const out = (...names: string[]) => place.inside("out", ...names);

async function layerPath(): Promise<string> {
  const folder = join(place.registryRoot, "team+model", "blobs", "sha256");
  for (const name of await readdir(folder))
    if ((await stat(join(folder, name))).size > 1_000_000) return join(folder, name);
  throw new Error("no layer");
}

describe("a check of a reference", () => {
  test("finds nothing wrong with a good model, and reads every byte", async () => {
    const counted = countProgress();
    const { onProgress } = counted;
    const result = await verify({ target: reference, onProgress });
    expect(result).toMatchObject({ files: 3, bytes: total, problems: [] });
    expect(result.name).toBe(`${place.ref("team/model")}@${result.digest}`);
    for (const { bytes, fileSize } of counted.files.values()) expect(bytes).toBe(fileSize);
    expect(counted.files.size).toBe(3);
  });

  test("names the file whose bytes are wrong in the registry's folder", async () => {
    const layer = await layerPath();
    await flipBit(layer, (await stat(layer)).size - 1);
    const { problems } = await verify({ target: reference });
    expect(problems).toMatchObject([
      {
        path: "sub/other.bin",
        problem: expect.stringMatching(/wrong at byte \d+ of layer/) as string,
      },
    ]);
  });

  test("names every file of a layer that is gone", async () => {
    await rename(await layerPath(), place.inside("aside"));
    const { problems } = await verify({ target: reference });
    expect(problems.map(({ path }) => path)).toEqual([
      "config.json",
      "model.safetensors",
      "sub/other.bin",
    ]);
  });

  test("names the files of a layer that was cut short, also in a layout folder", async () => {
    const target = `oci:${join(place.registryRoot, "team+model")}:v1`;
    const layer = await layerPath();
    await truncate(layer, (await stat(layer)).size - 1);
    for (const each of [reference, target]) {
      const { problems } = await verify({ target: each });
      expect(problems.map(({ path }) => path)).toContain("sub/other.bin");
    }
  });

  test("checks what the index claims about whole files", async () => {
    const bad = rawModel();
    const [file] = bad.index.files;
    const half = [digestOf("good "), 5, 0, 0];
    const rest = [digestOf("bytes"), 5, 0, 5];
    bad.index.files = [
      { path: "one", size: 10, chunks: [], ...file, digest: digestOf("another") },
      { path: "right", size: 10, chunks: [half, rest], digest: digestOf("good bytes") },
      { path: "two", size: 10, chunks: [half, rest], digest: digestOf("another") },
    ].map((each, at) => ({ ...each, path: ["one", "right", "two"][at] }));
    await putRawModel(join(place.registryRoot, "bad"), "v1", bad);
    const { problems } = await verify({ target: place.ref("bad:v1") });
    const claim = `has digest ${digestOf("good bytes")}, the index claims ${digestOf("another")}`;
    const expected = [
      { path: "one", problem: claim },
      { path: "two", problem: claim },
    ];
    expect(problems).toEqual(expected);
    await pull({ reference: place.ref("bad:v1"), output: out() });
    expect((await verify({ target: out() })).problems).toEqual(expected);
  });
});

describe("a check of a folder", () => {
  beforeEach(async () => {
    await pull({ reference, output: out() });
  });

  test("finds nothing wrong with what a pull left", async () => {
    const counted = countProgress();
    const { onProgress } = counted;
    const result = await verify({ target: out(), onProgress });
    expect(result).toMatchObject({ files: 3, bytes: total, problems: [] });
    for (const { bytes, fileSize } of counted.files.values()) expect(bytes).toBe(fileSize);
  });

  test.each<[string, string, () => Promise<unknown>, RegExp]>([
    [
      "a flipped bit",
      "sub/other.bin",
      () => flipBit(out("sub", "other.bin"), 1_000_000),
      /^2097152 bytes are not what was pushed: 1 of its chunks, the first at byte 0$/,
    ],
    [
      "a cut file",
      "config.json",
      () => truncate(out("config.json"), 3),
      /^is 3 bytes, the index says \d+$/,
    ],
    [
      "a longer file",
      "config.json",
      () => writeFile(out("config.json"), "x".repeat(99)),
      /^is 99 bytes/,
    ],
    ["a missing file", "model.safetensors", () => rm(out("model.safetensors")), /^is missing$/],
    [
      "a folder in its place",
      "config.json",
      async () => {
        await rm(out("config.json"));
        await rename(out("sub"), out("config.json"));
      },
      /^is no file$/,
    ],
  ])("names the file after %s", async (_, path, spoil, problem) => {
    await spoil();
    const { problems } = await verify({ target: out() });
    const found = problems.find((each) => each.path === path);
    expect(found?.problem).toMatch(problem);
  });

  test("names the exact chunk of a file of several", async () => {
    await flipBit(out("model.safetensors"), 2_000_000);
    const { problems } = await verify({ target: out() });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.path).toBe("model.safetensors");
  });

  test("knows only what the pull brought", async () => {
    await writeFile(out("mine.txt"), "mine");
    await pull({ reference, output: place.inside("some"), include: ["*.json"] });
    expect(await verify({ target: out() })).toMatchObject({ files: 3, problems: [] });
    expect(await verify({ target: place.inside("some") })).toMatchObject({
      files: 1,
      problems: [],
    });
  });

  test("that no pull has written, or whose index is lost, is an error", async () => {
    await expect(verify({ target: place.path })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await rm(out(".ballast", "blobs"), { recursive: true });
    await expect(verify({ target: out() })).rejects.toMatchObject({ code: "STORE_IO" });
  });

  test("that is neither folder nor reference is an error", async () => {
    await expect(verify({ target: "nothing" })).rejects.toMatchObject({
      code: "INVALID_REFERENCE",
    });
  });
});
