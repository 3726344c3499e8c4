import { readdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { inspect } from "../../src/model/inspect.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import {
  countProgress,
  openWorkplace,
  readTree,
  snapshot,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;
/** What the registry holds; its lock and reserve come and go with it. */
const registryFiles = () => readTree(place.registryRoot, (path) => path.startsWith("."));

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

const writes = () => place.requests.filter((line) => !/^(GET|HEAD) /.test(line));

describe("what a push tells", () => {
  test("is what it did", async () => {
    const source = await place.writeModel();
    const counted = countProgress();
    const result = await place.push(source, "team/model:v1", { onProgress: counted.onProgress });
    const inspected = await inspect({ reference: place.ref("team/model:v1") });
    expect(result).toMatchObject({
      name: `${place.ref("team/model")}@${result.digest}`,
      tag: "v1",
      files: 3,
      chunks: inspected.chunks,
      treeId: inspected.treeId,
      base: undefined,
      dryRun: false,
      warnings: [],
      annotations: { "dev.ballast.model.family": "llama" },
    });
    expect(result.bytes.total).toBe(inspected.bytes);
    expect(result.layers.total).toBe(inspected.layers.length);
    expect(result.requests.registry).toBe(place.requests.length - inspectedRequests());
    for (const [path, { bytes, fileSize }] of counted.files)
      expect([path, bytes]).toEqual([path, fileSize]);
    expect(counted.files.size).toBe(3);
  });

  /** Requests of the inspection that ended the test above. */
  const inspectedRequests = () => {
    const put = place.requests.findLastIndex((line) => line.startsWith("PUT "));
    return place.requests.length - put - 1;
  };

  test("names the digest that a tag named before", async () => {
    const first = await place.push(await place.writeModel("m1", "a"), "a:v1");
    const second = await place.push(await place.writeModel("m2", "b"), "a:v1");
    expect(second.previousDigest).toBe(first.digest);
    const pulled = await pull({ reference: place.ref("a:v1"), store: place.inside("store") });
    expect(pulled.digest).toBe(second.digest);
    const old = `${place.ref("a")}@${first.digest}`;
    expect((await inspect({ reference: old })).digest).toBe(first.digest);
  });

  test("holds annotations, the caller's before those of the model", async () => {
    const annotations = { "dev.ballast.model.family": "mine", "com.example.note": "kept" };
    const { digest } = await place.push(await place.writeModel(), "a:v1", { annotations });
    const inspected = await inspect({ reference: place.ref("a:v1") });
    expect(inspected).toMatchObject({ digest, annotations });
  });

  test("without a tag only the digest names the model", async () => {
    const { digest, tag } = await place.push(await place.writeModel(), "team/untagged");
    expect(tag).toBeUndefined();
    expect(place.requests.at(-1)).toBe(`PUT /v2/team/untagged/manifests/${digest} 201`);
    const reference = `${place.ref("team/untagged")}@${digest}`;
    const { path } = await pull({ reference, output: place.inside("out") });
    expect(await readTree(path)).toEqual(await readTree(place.inside("model")));
  });

  test("a digest in the reference is refused before anything is read", async () => {
    const name = `a@sha256:${"0".repeat(64)}`;
    const pushing = place.push(place.inside("not there"), name);
    await expect(pushing).rejects.toMatchObject({ code: "INVALID_REFERENCE" });
    expect(place.requests).toEqual([]);
  });
});

describe("a push that must not write", () => {
  test("as a dry run tells what would move and changes nothing", async () => {
    const source = await place.writeModel();
    const planned = await place.push(source, "a:v1", { dryRun: true });
    expect(await registryFiles()).toEqual({});
    expect(planned.dryRun).toBe(true);
    const done = await place.push(source, "a:v1");
    expect(planned.bytes).toEqual(done.bytes);
    expect(planned.digest).toBe(done.digest);
    const before = await registryFiles();
    const changed = await place.writeModel("m2", "b");
    const second = await place.push(changed, "a:v1", { dryRun: true });
    expect(second.bytes.moved).toBeGreaterThan(0);
    expect(await registryFiles()).toEqual(before);
    expect(writes().filter((line) => line.includes("m2"))).toEqual([]);
  });

  test("does not make the layout folder of a dry run", async () => {
    const directory = place.inside("none", "layout");
    const options = { source: await place.writeModel(), reference: `oci:${directory}:v1` };
    const planned = await push({ ...options, dryRun: true });
    expect(planned.bytes.moved).toBe(planned.bytes.total);
    expect(await readdir(place.path)).not.toContain("none");
    expect((await push(options)).digest).toBe(planned.digest);
    const before = await snapshot(directory);
    await push({ ...options, dryRun: true });
    expect(await snapshot(directory)).toEqual(before);
  });

  test("over a tag that names the same is fine with noOverwrite", async () => {
    const source = await place.writeModel();
    const first = await place.push(source, "a:v1", { noOverwrite: true });
    const before = await registryFiles();
    const second = await place.push(source, "a:v1", { noOverwrite: true });
    expect(second).toMatchObject({ digest: first.digest, previousDigest: undefined });
    expect(second.bytes.moved).toBe(0);
    expect(await registryFiles()).toEqual(before);
  });

  test("over a tag that names something else is TAG_EXISTS with noOverwrite", async () => {
    await place.push(await place.writeModel("m1", "a"), "a:v1");
    const before = await registryFiles();
    const pushing = place.push(await place.writeModel("m2", "b"), "a:v1", { noOverwrite: true });
    await expect(pushing).rejects.toMatchObject({ code: "TAG_EXISTS" });
    expect(await registryFiles()).toEqual(before);
  });
});
