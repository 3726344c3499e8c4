import { stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { emptyConfig, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const content = Buffer.from("a layer that somebody wants");
const digest = digestOf(content);
const longAgo = new Date("2020-01-01");
let registry: RawRegistry;

beforeEach(async () => {
  registry = await openRawRegistry();
});
afterEach(() => registry[Symbol.asyncDispose]());

describe("whoever is told that content is there finds it young", () => {
  test.each([
    ["HEAD", `/v2/one/blobs/${digest}`, 200],
    ["HEAD", `/v2/one/manifests/${digest}`, 404],
    ["POST", `/v2/one/blobs/uploads/?mount=${digest}&from=other`, 201],
    ["POST", `/v2/two/blobs/uploads/?mount=${digest}&from=one`, 201],
  ])("%s %s", async (method, path, status) => {
    await registry.pushBlob("one", content);
    await makeOld("one", digest);
    expect((await registry.send(method, path)).status).toBe(status);
    expect(await age("one", digest)).toBeLessThan(60_000);
  });

  test("an upload of which all bytes came long ago", async () => {
    const location = await registry.openUpload("one");
    await registry.send("PATCH", location, { body: content });
    const file = join(registry.root, "one/uploads", location.split("/").at(-1) ?? "");
    await utimes(file, longAgo, longAgo);
    expect((await registry.send("PUT", `${location}?digest=${digest}`)).status).toBe(201);
    expect(await age("one", digest)).toBeLessThan(60_000);
  });

  test("but a GET says nothing of what will be pushed", async () => {
    await registry.pushBlob("one", content);
    await makeOld("one", digest);
    await registry.send("GET", `/v2/one/blobs/${digest}`);
    expect(await age("one", digest)).toBeGreaterThan(60_000);
  });
});

test("of manifests that are pushed to one tag at a time one has it, and all are there", async () => {
  await registry.pushManifest("one", "first");
  const manifests = Array.from({ length: 20 }, (_, at) =>
    serializeManifest({ config: emptyConfig, layers: [], annotations: { at: String(at) } }),
  );
  const headers = { "content-type": mediaTypes.imageManifest };
  const answers = await Promise.all(
    manifests.map((body) => registry.send("PUT", "/v2/one/manifests/v1", { headers, body })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  const digests = manifests.map((bytes) => digestOf(bytes));
  const tagged = await registry.send("GET", "/v2/one/manifests/v1");
  expect(digests).toContain(digestOf(tagged.body));
  for (const each of digests) {
    const { body } = await registry.send("GET", `/v2/one/manifests/${each}`);
    expect(digestOf(body)).toBe(each);
  }
});

function pathOf(repository: string, blob: Digest): string {
  return join(registry.root, repository, "blobs", blob.replace(":", "/"));
}

async function makeOld(repository: string, blob: Digest): Promise<void> {
  await utimes(pathOf(repository, blob), longAgo, longAgo);
}

async function age(repository: string, blob: Digest): Promise<number> {
  return Date.now() - (await stat(pathOf(repository, blob))).mtimeMs;
}
