import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
} from "../../src/registry/client/registry-repository.ts";
import { attach } from "../conformance/referrer-suite.ts";
import { errorBody, type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const mediaType = mediaTypes.imageManifest;
const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType }));
const digest = digestOf(bytes);

let registry: FaultRegistry;
let repository: RegistryRepository;

beforeEach(async () => {
  registry = await startFaultRegistry();
  for (const key of ["v1", "v2", digest]) registry.manifests.set(key, { mediaType, bytes });
  repository = await openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry: { attempts: 3, baseDelayMs: 1 },
    writes: true,
  });
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const remove = {
  tag: () => repository.deleteTag("v1"),
  manifest: () => repository.deleteManifest(digest),
};

describe.each(["tag", "manifest"] as const)("removing a %s", (kind) => {
  test.each([
    ["405", { status: 405 }],
    ["405 UNSUPPORTED", { status: 405, body: errorBody("UNSUPPORTED") }],
    ["400 UNSUPPORTED", { status: 400, body: errorBody("UNSUPPORTED") }],
    ["403 UNSUPPORTED", { status: 403, body: errorBody("UNSUPPORTED") }],
    ["501", { status: 501 }],
    ["404 for what is there", { status: 404 }],
  ])(
    "that is answered with %s is REGISTRY_UNSUPPORTED, and nothing else is tried",
    async (_, answer) => {
      registry.answers.push({ on: /^DELETE/, ...answer });
      const removing = remove[kind]();
      await expect(removing).rejects.toMatchObject({
        code: "REGISTRY_UNSUPPORTED",
        hint: expect.stringContaining("removing") as unknown,
      });
      expect(registry.lines(/^DELETE/)).toHaveLength(1);
      expect([...registry.manifests.keys()].toSorted()).toEqual([digest, "v1", "v2"].toSorted());
    },
  );

  test("that is forbidden is FORBIDDEN", async () => {
    registry.answers.push({ on: /^DELETE/, status: 403, body: errorBody("DENIED") });
    await expect(remove[kind]()).rejects.toMatchObject({ code: "FORBIDDEN" });
  });

  test("whose answer is lost is tried again, and done", async () => {
    registry.answers.push({ on: /^DELETE/, status: 503 });
    expect(await remove[kind]()).toBe(true);
    const gone = kind === "tag" ? ["v1"] : ["v1", "v2", digest];
    for (const key of gone) expect(registry.manifests.has(key)).toBe(false);
  });

  test("that was done although it failed is done", async () => {
    registry.intercept = ({ method }) => {
      if (method !== "DELETE" || !registry.manifests.has("v1")) return undefined;
      for (const key of kind === "tag" ? ["v1"] : ["v1", "v2", digest])
        registry.manifests.delete(key);
      return { status: 502 };
    };
    expect(await remove[kind]()).toBe(true);
  });
});

test("a tag is not removed where only digests are taken, and its manifest is left alone", async () => {
  registry.answers.push({ on: /^DELETE/, status: 400, body: errorBody("DIGEST_INVALID") });
  await expect(repository.deleteTag("v1")).rejects.toMatchObject({ code: "REGISTRY_UNSUPPORTED" });
  expect(registry.lines(/^DELETE/)).toEqual(["DELETE /v2/team/model/manifests/v1"]);
  expect(registry.manifests.has("v2")).toBe(true);
});

test("a registry that takes the manifest away with its tag is told on, and the manifest put back", async () => {
  registry.intercept = ({ method }) => {
    if (method !== "DELETE") return undefined;
    registry.manifests.clear();
    return { status: 202 };
  };
  const removing = repository.deleteTag("v1");
  await expect(removing).rejects.toMatchObject({
    code: "REGISTRY_UNSUPPORTED",
    hint: expect.stringContaining("any other tag") as unknown,
  });
  expect(registry.manifests.get(digest)?.bytes).toEqual(bytes);
});

test("a damaged manifest can be removed", async () => {
  registry.answers.push({ on: /^GET/, body: "{}", headers: { "docker-content-digest": digest } });
  expect(await repository.deleteManifest(digest)).toBe(true);
  expect(registry.manifests.size).toBe(0);
});

test("removing a subject leaves the list of what referred to it", async () => {
  await attach(repository, digest, { text: "one" });
  expect(await repository.deleteManifest(digest)).toBe(true);
  expect(registry.manifests.has(`sha256-${digestHex(digest)}`)).toBe(true);
  expect(await repository.listReferrers(digest)).toHaveLength(1);
});
