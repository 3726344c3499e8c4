import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { verifyStore } from "../../src/model/stored-models.ts";
import { openStore } from "../../src/store/store.ts";
import {
  countProgress,
  flipBit,
  mebi,
  openWorkplace,
  readTree,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;
let source: string;
let reference: string;

beforeEach(async () => {
  place = await openWorkplace();
  source = await place.writeModel();
  reference = place.ref("team/model:v1");
  await push({ source, reference });
  place.requests.length = 0;
});
afterEach(async () => place[Symbol.asyncDispose]());

const store = () => place.inside("store");

describe("a pull into the store", () => {
  test("gives a read-only tree of the very files, by an absolute path", async () => {
    const counted = countProgress();
    const relativeStore = relative(process.cwd(), store());
    const { onProgress } = counted;
    const result = await pull({ reference, store: relativeStore, onProgress });
    expect(result.path.startsWith(store() + sep)).toBe(true);
    expect(await readTree(result.path)).toEqual(await readTree(source));
    expect((await stat(join(result.path, "config.json"))).mode & 0o777).toBe(0o444);
    expect((await stat(result.path)).mode & 0o777).toBe(0o555);
    expect(result).toMatchObject({
      name: `${place.ref("team/model")}@${result.digest}`,
      previousDigest: undefined,
      selection: "all",
      files: 3,
      bytes: { moved: result.bytes.total, reused: 0 },
      removed: [],
      warnings: [],
    });
    for (const { bytes, fileSize } of counted.files.values()) expect(bytes).toBe(fileSize);
    expect(counted.files.size).toBe(3);
  });

  test("moves nothing the second time", async () => {
    const first = await pull({ reference, store: store() });
    place.requests.length = 0;
    const second = await pull({ reference, store: store() });
    expect(second.path).toBe(first.path);
    expect(second.bytes).toEqual({ ...first.bytes, moved: 0, reused: first.bytes.total });
    expect(place.requests).toEqual(["HEAD /v2/team/model/manifests/v1 200"]);
  });

  test("by digest asks nobody when it is there", async () => {
    const { digest, path } = await pull({ reference, store: store() });
    place.requests.length = 0;
    const pinned = `${place.ref("team/model")}@${digest}`;
    const again = await pull({ reference: pinned, store: store() });
    expect(again).toMatchObject({ path, digest, requests: { registry: 0 } });
    expect(place.requests).toEqual([]);
  });

  test("of some of its files has a tree of its own, and the rest moves later", async () => {
    const some = await pull({ reference, store: store(), include: ["*.json", "sub/"] });
    expect(Object.keys(await readTree(some.path))).toEqual(["config.json", "sub/other.bin"]);
    expect(some.selection).toMatch(/^[0-9a-f]{64}$/);
    const fewer = await pull({ reference, store: store(), exclude: ["*.safetensors", "*.json"] });
    expect(Object.keys(await readTree(fewer.path))).toEqual(["sub/other.bin"]);
    expect(fewer.bytes.moved).toBe(0);
    const all = await pull({ reference, store: store() });
    expect(all.bytes.moved).toBe(all.bytes.total - some.bytes.total);
    expect(new Set([some.path, fewer.path, all.path]).size).toBe(3);
    const none = pull({ reference, store: store(), include: ["nothing"] });
    await expect(none).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("of another version fetches what changed and tells which digest the tag left", async () => {
    const first = await pull({ reference, store: store() });
    await writeFile(join(source, "config.json"), '{"model_type":"qwen"}');
    await push({ source, reference });
    const second = await pull({ reference, store: store() });
    expect(second.previousDigest).toBe(first.digest);
    expect(second.bytes.moved).toBe('{"model_type":"qwen"}'.length);
    expect(await readTree(second.path)).toEqual(await readTree(source));
  });

  test("resolves a tag once: one that moves meanwhile does not mix two models", async () => {
    const before = await readTree(source);
    const other = await place.writeModel("other", "b");
    let moving: Promise<unknown> | undefined;
    place.onRequest = (line) => {
      if (/^HEAD .*\/manifests\/v1 200$/.test(line)) moving ??= push({ source: other, reference });
    };
    const blocked = pull({
      reference,
      store: store(),
      onProgress: (event) => {
        if (event.type === "start") place.onRequest = undefined;
      },
    });
    const { path, digest } = await blocked;
    const pushed = (await moving) as { digest: string };
    expect(digest).not.toBe(pushed.digest);
    expect(await readTree(path)).toEqual(before);
  });

  test("while another one holds the store is STORE_LOCKED, or waits", async () => {
    const holder = await openStore(store());
    await expect(pull({ reference, store: store() })).rejects.toMatchObject({
      code: "STORE_LOCKED",
    });
    const counted = countProgress();
    const waiting = Promise.withResolvers<void>();
    const done = pull({
      reference,
      store: store(),
      waitForLock: true,
      onProgress: (event) => {
        counted.onProgress(event);
        if (event.type === "notice") waiting.resolve();
      },
    });
    await waiting.promise;
    await holder[Symbol.asyncDispose]();
    expect((await done).files).toBe(3);
    expect(counted.messages).toEqual(["waiting for another process to finish with the store"]);
  });

  test("of what is not there leaves no trace", async () => {
    const output = place.inside("out");
    const missing = pull({ reference: place.ref("team/model:v9"), output, store: store() });
    await expect(missing).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: expect.stringContaining("v1") as string,
    });
    await expect(pull({ reference: place.ref("no/model:v9"), output })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(pull({ reference })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const linked = pull({ reference, output, link: true });
    await expect(linked).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(
      pull({ reference: `oci:${place.inside("none")}:v1`, output }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await readdir(place.path)).sort()).toEqual(["model", "registry"]);
  });
});

describe("a pull from a registry whose bytes are wrong", () => {
  const rotten = async () => {
    const folder = join(place.registryRoot, "team+model", "blobs", "sha256");
    for (const name of await readdir(folder))
      if ((await stat(join(folder, name))).size > 3_000_000) return join(folder, name);
    throw new Error("no layer");
  };

  test("is DIGEST_MISMATCH with layer and file, and nothing is visible; good chunks are kept", async () => {
    const layer = await rotten();
    const { size } = await stat(layer);
    await flipBit(layer, size - 1);
    for (const target of [{ store: store() }, { output: place.inside("out") }])
      await expect(pull({ reference, ...target })).rejects.toMatchObject({
        code: "DIGEST_MISMATCH",
        message: expect.stringMatching(
          /127\.0\.0\.1.*layer sha256:[0-9a-f]{64}.*for (sub|model)/,
        ) as string,
      });
    expect(await readdir(join(store(), "trees"))).toEqual([]);
    expect(await readTree(place.inside("out"))).toEqual({});
    await flipBit(layer, size - 1);
    for (const target of [{ store: store() }, { output: place.inside("out") }]) {
      const { path, bytes } = await pull({ reference, ...target });
      expect(await readTree(path)).toEqual(await readTree(source));
      expect(bytes.reused).toBeGreaterThan(0);
      expect(bytes.moved).toBeGreaterThan(0);
      expect(bytes.moved + bytes.reused).toBe(bytes.total);
    }
  });

  test("because a layer is gone is NOT_FOUND, and the next pull works", async () => {
    const layer = await rotten();
    await rename(layer, place.inside("aside"));
    await expect(pull({ reference, store: store() })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await rename(place.inside("aside"), layer);
    const { path } = await pull({ reference, store: store() });
    expect(await readTree(path)).toEqual(await readTree(source));
  });
});

describe("a pull from a layout folder", () => {
  test("is like one from a registry", async () => {
    const layout = `oci:${place.inside("layout")}:v1`;
    await push({ source, reference: layout });
    const { path, requests, digest } = await pull({ reference: layout, store: store() });
    expect(await readTree(path)).toEqual(await readTree(source));
    expect(requests).toEqual({ registry: 0, token: 0, redirected: 0 });
    expect((await pull({ reference, store: store() })).digest).toBe(digest);
  });

  test("whose file was cut short is an error, and nothing is visible", async () => {
    const directory = place.inside("layout");
    await push({ source, reference: `oci:${directory}:v1` });
    const blobs = join(directory, "blobs", "sha256");
    for (const name of await readdir(blobs)) {
      const path = join(blobs, name);
      if ((await stat(path)).size > 100_000) await writeFile(path, "short");
    }
    const output = place.inside("out");
    await expect(pull({ reference: `oci:${directory}:v1`, output })).rejects.toMatchObject({
      name: "ModelError",
    });
    expect(await readTree(output)).toEqual({});
  });
});

describe("the store", () => {
  test("fetches again what has rotted in it", async () => {
    const { path } = await pull({ reference, store: store() });
    await rm(join(store(), "trees"), { recursive: true, force: true });
    for (const name of await readdir(join(store(), "files")))
      await flipBit(join(store(), "files", name), 0);
    await mkdir(join(store(), "trees"), { recursive: true });
    const report = await verifyStore({ store: store() });
    expect(report.problems.map((problem) => problem.path).sort()).toEqual(
      Object.keys(await readTree(source)),
    );
    const again = await pull({ reference, store: store() });
    expect(again.path).toBe(path);
    expect(again.bytes.moved).toBeGreaterThan(2 * mebi);
    expect(again.bytes.moved).toBeLessThan(again.bytes.total);
    expect(await readTree(again.path)).toEqual(await readTree(source));
  });
});
