import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { inspect } from "../../src/model/inspect.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { listModels } from "../../src/model/stored-models.ts";
import { putRawModel, type RawIndex, type RawModel, rawModel } from "../support/hostile-model.ts";
import { openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let directory: string;
let reference: string;

beforeEach(async () => {
  place = await openWorkplace();
  directory = join(place.registryRoot, "bad");
  reference = place.ref("bad:v1");
});
afterEach(async () => place[Symbol.asyncDispose]());

const store = () => place.inside("store");
const out = () => place.inside("out");

/** Pulls it over HTTP and from the folder; what each rejects with, when nothing is readable. */
async function tryAll(): Promise<unknown[]> {
  const calls = [
    { reference, store: store() },
    { reference, output: out() },
    { reference: `oci:${directory}:v1`, store: store() },
  ];
  const failures: unknown[] = [];
  for (const call of calls) failures.push(await pull(call).catch((error: unknown) => error));
  expect(await readTree(store(), isBookkeeping)).toEqual({});
  expect(await readTree(out())).toEqual({});
  expect((await readdir(place.path)).sort()).toEqual(["out", "registry", "store"]);
  return failures;
}

function refused(code: string, message: RegExp): unknown[] {
  const failure = { name: "ModelError", code, message: expect.stringMatching(message) as string };
  return Array.from({ length: 3 }, () => expect.objectContaining(failure) as unknown);
}

/** Of a store: what no reader is given. */
const isBookkeeping = (path: string) => !path.startsWith("trees/") && !path.startsWith("files/");

async function expectGoodPullWorks(): Promise<void> {
  await putRawModel(directory, "good", rawModel("fine"));
  for (const target of [{ store: store() }, { output: out() }]) {
    const { path } = await pull({ reference: place.ref("bad:good"), ...target });
    expect(await readTree(path)).toEqual({ "a.txt": digestOf("fine") });
  }
}

function changed(change: (index: RawIndex, model: RawModel) => void): RawModel {
  const model = rawModel();
  change(model.index, model);
  return model;
}

const withPaths = (...paths: unknown[]) =>
  changed((index) => {
    const [file] = index.files;
    index.files = paths.map((path) => ({ size: 0, chunks: [], ...file, path }));
  });
const withChunks = (chunks: unknown, size: unknown = 10) =>
  changed((index) => (index.files = [{ path: "a.txt", size, chunks }]));
const chunk = digestOf("good bytes");

describe("an index that lies about paths is refused", () => {
  test.each<[string, RawModel, RegExp]>([
    ["..", withPaths("../evil"), /"\.\.\/evil" in index of .* has a "\.\." segment/],
    [".. inside", withPaths("a/../../evil"), /has a "\.\." segment/],
    ["absolute", withPaths("/tmp/ballast-evil"), /is absolute/],
    ["NUL", withPaths("a\0b"), /has a NUL byte/],
    ["empty", withPaths(""), /is empty/],
    ["empty segment", withPaths("a//b"), /has an empty segment/],
    ["twice", withPaths("x", "x"), /is there twice/],
    ["file and folder", withPaths("x", "x/y"), /is both a file and a folder/],
    ["too long", withPaths("x/".repeat(1600) + "x"), /is longer than 3072 bytes/],
    ["a name too long", withPaths("x".repeat(256)), /has a name longer than 255 bytes/],
    ["too deep", withPaths("d/".repeat(64) + "d"), /is deeper than 64 folders/],
    ["not NFC", withPaths("e\u0301"), /is not in Unicode NFC form/],
    ["half a surrogate", withPaths("a\ud800"), /is not valid Unicode/],
  ])("a path: %s", async (_, model, message) => {
    await putRawModel(directory, "v1", model);
    expect(await tryAll()).toEqual(refused("INVALID_PATH", message));
    await expect(inspect({ reference })).rejects.toMatchObject({ code: "INVALID_PATH" });
    await expectGoodPullWorks();
  });
});

describe("an index that lies about content is refused", () => {
  test.each<[string, RawModel, RegExp]>([
    ["no version", changed((index) => (index.schemaVersion = undefined)), /schemaVersion/],
    [
      "a newer version",
      changed((index) => (index.schemaVersion = 2)),
      /schemaVersion 2 is not known/,
    ],
    ["a path that is no text", withPaths(7), /path is not a string/],
    [
      "an unknown algorithm",
      withChunks([[`md5:${"0".repeat(32)}`, 10, 0, 0]]),
      /is not a sha256 digest/,
    ],
    ["a chunk outside its layer", withChunks([[chunk, 10, 0, 1]]), /ends outside layer 0/],
    [
      "a chunk in a layer that is not there",
      withChunks([[chunk, 10, 7, 0]]),
      /layer 7 is not in the table/,
    ],
    ["sums that lie", withChunks([[chunk, 10, 0, 0]], 11), /hold 10 bytes, its size says 11/],
    ["a negative size", withChunks([], -1), /size is not a whole number/],
    ["a size beyond any number", withChunks([], 2 ** 60), /size is not a whole number/],
    ["a chunk beyond 32 MiB", withChunks([[chunk, 2 ** 40, 0, 0]], 2 ** 40), /chunk size/],
    [
      "one chunk of two sizes",
      changed((index) => index.files.push({ path: "b", size: 5, chunks: [[chunk, 5, 0, 0]] })),
      /two sizes/,
    ],
    [
      "a layer size that its manifest does not say",
      changed((index, model) => {
        model.changeManifest = (manifest) =>
          manifest.layers.forEach((layer, at) => at > 0 && (layer.size = 9));
      }),
      /uses layer .* as 10 bytes, the manifest says 9/,
    ],
    [
      "a layer that its manifest does not name",
      changed((_, model) => {
        model.changeManifest = (manifest) => (manifest.layers.length = 1);
      }),
      /uses layer .* which its manifest does not name/,
    ],
  ])("a size, count or place: %s", async (_, model, message) => {
    await putRawModel(directory, "v1", model);
    expect(await tryAll()).toEqual(refused("INVALID_INDEX", message));
    await expectGoodPullWorks();
  });

  test("a declared size of the index that nobody would read", async () => {
    const model = changed((_, raw) => {
      raw.changeManifest = ({ layers: [index] }) => index && (index.size = 2 ** 40);
    });
    await putRawModel(directory, "v1", model);
    expect(await tryAll()).toEqual(refused("INVALID_INDEX", /is 1099511627776 bytes, more than/));
  });

  test("absurdly many layers", async () => {
    const model = changed((index) => {
      index.layers = Array.from({ length: 10_001 }, () => ({ digest: digestOf("x"), size: 1 }));
    });
    model.changeManifest = (manifest) => (manifest.layers.length = 2);
    await putRawModel(directory, "v1", model);
    expect(await tryAll()).toEqual(
      refused("INVALID_INDEX", /layers is not a list of at most 10000/),
    );
  });

  test("bytes that are not those of its digest", async () => {
    const digest = await putRawModel(directory, "v1", rawModel());
    const { indexDigest } = await readManifest(digest);
    const path = place.blob("bad", indexDigest);
    const text = JSON.stringify(rawModel().index).replace("a.txt", "b.txt");
    await writeFile(path, text);
    expect(await tryAll()).toEqual(refused("DIGEST_MISMATCH", /served wrong bytes: index/));
    await expectGoodPullWorks();
  });
});

async function readManifest(digest: string): Promise<{ indexDigest: string }> {
  const manifest = JSON.parse(await readFile(place.blob("bad", digest), "utf8")) as {
    layers: { digest: string }[];
  };
  return { indexDigest: manifest.layers[0]?.digest ?? "" };
}

describe("a manifest that cannot be used is refused", () => {
  const withManifest = (change: NonNullable<RawModel["changeManifest"]>) =>
    changed((_, model) => (model.changeManifest = change));

  test.each<[string, RawModel, string, RegExp]>([
    [
      "of another version",
      withManifest((manifest) => (manifest.schemaVersion = 1)),
      "INVALID_MANIFEST",
      /is no OCI manifest/,
    ],
    [
      "without config",
      withManifest((manifest) => (manifest.config = null)),
      "INVALID_MANIFEST",
      /config/,
    ],
    [
      "without layers",
      withManifest((manifest) => (manifest.layers = "no" as never)),
      "INVALID_MANIFEST",
      /layers is not a list/,
    ],
    [
      "with absurdly many layers",
      withManifest(
        (manifest) =>
          (manifest.layers = Array.from({ length: 10_001 }, () => ({
            mediaType: "x",
            digest: digestOf("x"),
            size: 1,
          }))),
      ),
      "INVALID_MANIFEST",
      /at most 10000/,
    ],
    [
      "with a layer of an unknown algorithm",
      withManifest(
        ({ layers: [, layer] }) => layer && (layer.digest = `sha512:${"0".repeat(128)}`),
      ),
      "INVALID_MANIFEST",
      /layer 1 is no sha256/,
    ],
    [
      "with a layer of a negative size",
      withManifest(({ layers: [, layer] }) => layer && (layer.size = -1)),
      "INVALID_MANIFEST",
      /layer 1 is no sha256/,
    ],
    [
      "that is an image index",
      withManifest((manifest) => (manifest.manifests = [])),
      "UNSUPPORTED_ARTIFACT",
      /is an image index, not one model/,
    ],
    [
      "of another artifact",
      withManifest((manifest) => (manifest.artifactType = "application/vnd.example.chart")),
      "UNSUPPORTED_ARTIFACT",
      /its type is "application\/vnd\.example\.chart"/,
    ],
    [
      "of an image",
      withManifest((manifest) => delete manifest.artifactType),
      "UNSUPPORTED_ARTIFACT",
      /its type is/,
    ],
    [
      "without an index",
      withManifest((manifest) => (manifest.layers = [])),
      "UNSUPPORTED_ARTIFACT",
      /is no Ballast model/,
    ],
  ])("a manifest %s", async (_, model, code, message) => {
    await putRawModel(directory, "v1", model);
    expect(await tryAll()).toEqual(refused(code, message));
    await expectGoodPullWorks();
  });
});

describe("an index that claims what is not its own gains nothing", () => {
  const secret = "the weights of somebody else";

  test("another repository's chunk in a layer of its own is fetched, found wrong and refused", async () => {
    const other = await place.write("secret", { "secret.bin": secret });
    await push({ source: other, reference: place.ref("team/secret:v1") });
    await pull({ reference: place.ref("team/secret:v1"), store: store() });
    // It knows digest and size, but has only other bytes to put into its layer.
    const model = rawModel("x".repeat(secret.length));
    model.index.files = [
      { path: "a.txt", size: secret.length, chunks: [[digestOf(secret), secret.length, 0, 0]] },
    ];
    await putRawModel(directory, "v1", model);
    for (const target of [{ store: store() }, { output: out() }])
      await expect(pull({ reference, ...target })).rejects.toMatchObject({
        code: "DIGEST_MISMATCH",
        message: expect.stringContaining("a.txt") as string,
      });
    expect(await readTree(out())).toEqual({});
    const trees = Object.keys(await readTree(join(store(), "trees")));
    expect(trees.filter((path) => path.endsWith("a.txt"))).toEqual([]);
    await expectGoodPullWorks();
  });

  test("another repository's whole tree is not listed as its own", async () => {
    const other = await place.write("secret", { "secret.bin": secret });
    await push({ source: other, reference: place.ref("team/secret:v1") });
    const theirs = await pull({ reference: place.ref("team/secret:v1"), store: store() });
    const model = rawModel("x".repeat(secret.length));
    model.index.files = [
      {
        path: "secret.bin",
        size: secret.length,
        chunks: [[digestOf(secret), secret.length, 0, 0]],
      },
    ];
    await putRawModel(directory, "v1", model);
    await expect(pull({ reference, store: store() })).rejects.toThrow("served wrong bytes");
    const listed = await listModels({ store: store() });
    const trees = Object.fromEntries(listed.map(({ name, trees: own }) => [name, own]));
    expect(trees[theirs.name]).toEqual([theirs.path]);
    expect(Object.values(trees).filter((own) => own.length === 0)).toHaveLength(1);
  });

  test("another repository's file is not linked for a claim of its digest", async () => {
    const other = await place.write("secret", { "secret.bin": secret });
    await push({ source: other, reference: place.ref("team/secret:v1") });
    await pull({ reference: place.ref("team/secret:v1"), store: store() });
    const model = rawModel();
    model.index.files = model.index.files.map((file) => ({ ...file, digest: digestOf(secret) }));
    await putRawModel(directory, "v1", model);
    const { path } = await pull({ reference, store: store() });
    expect(await readTree(path)).toEqual({ "a.txt": digestOf("good bytes") });
  });

  test("another repository's layer that this one lacks is not found", async () => {
    const other = await place.write("secret", { "secret.bin": secret });
    await push({ source: other, reference: place.ref("team/secret:v1") });
    const model = rawModel();
    model.index.layers = [{ digest: digestOf(secret), size: secret.length }];
    model.index.files = [
      { path: "a.txt", size: secret.length, chunks: [[digestOf(secret), secret.length, 0, 0]] },
    ];
    await putRawModel(directory, "v1", model);
    await expect(pull({ reference, store: store() })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await readTree(store(), isBookkeeping)).toEqual({});
  });
});
