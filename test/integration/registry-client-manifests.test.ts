import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
} from "../../src/registry/client/registry-repository.ts";
import { type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const mediaType = "application/vnd.oci.image.manifest.v1+json";
const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType }));
const digest = digestOf(bytes);
const descriptor = { mediaType, digest, size: bytes.byteLength };
const otherDigest = digestOf("other");

let registry: FaultRegistry;
let repository: RegistryRepository;

beforeEach(async () => {
  registry = await startFaultRegistry();
  for (const key of ["v1", digest]) registry.manifests.set(key, { mediaType, bytes });
  repository = await openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry: { attempts: 3, baseDelayMs: 1 },
  });
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

describe("resolving", () => {
  test.each(["v1", digest])("%s is one HEAD", async (reference) => {
    expect(await repository.resolveManifest(reference)).toEqual(descriptor);
    expect(registry.lines()).toEqual([`HEAD /v2/team/model/manifests/${reference}`]);
    expect(registry.seen[0]?.headers.accept).toContain("application/vnd.oci.image.index.v1+json");
    expect(registry.seen[0]?.headers.accept).toContain(
      "application/vnd.docker.distribution.manifest.v2+json",
    );
  });

  test("what is not there is undefined", async () => {
    expect(await repository.resolveManifest("v2")).toBeUndefined();
  });

  test.each([
    ["no digest", 200, { "content-type": mediaType, "content-length": "9" }],
    [
      "a digest of another kind",
      200,
      { "docker-content-digest": "sha512:00", "content-type": mediaType },
    ],
    ["no length", 200, { "docker-content-digest": digest, "content-type": mediaType }],
    ["no type", 200, { "docker-content-digest": digest, "content-length": "9" }],
    ["nothing, since HEAD is not allowed", 405, {}],
  ])("computes from the bytes when HEAD says %s", async (_, status, headers) => {
    registry.answers.push({ on: /^HEAD/, status, headers });
    expect(await repository.resolveManifest("v1")).toEqual(descriptor);
  });

  test("a digest to another one is DIGEST_MISMATCH", async () => {
    const headers = {
      "docker-content-digest": otherDigest,
      "content-type": mediaType,
      "content-length": "9",
    };
    registry.answers.push({ on: /^HEAD/, status: 200, headers });
    await expect(repository.resolveManifest(digest)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
  });
});

describe("fetching", () => {
  test.each(["v1", digest])("%s gives its bytes and their digest", async (reference) => {
    expect(await repository.fetchManifest(reference)).toEqual({ descriptor, bytes });
  });

  test("what is not there is NOT_FOUND naming it", async () => {
    const fetching = repository.fetchManifest("v2");
    await expect(fetching).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(fetching).rejects.toThrow(`manifest v2 of ${registry.host}/team/model`);
  });

  test("other bytes than the digest's is DIGEST_MISMATCH", async () => {
    registry.manifests.set(otherDigest, { mediaType, bytes });
    await expect(repository.fetchManifest(otherDigest)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
  });

  test("other bytes than the header's digest is DIGEST_MISMATCH", async () => {
    registry.answers.push({
      on: /./,
      headers: { "docker-content-digest": otherDigest },
      body: "{}",
    });
    await expect(repository.fetchManifest("v1")).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  test.each([
    ["larger than 4 MiB", { body: " ".repeat(4_194_305) }, "INVALID_MANIFEST"],
    [
      "a web page",
      { body: "<html>", headers: { "content-type": "text/html" } },
      "REGISTRY_PROTOCOL",
    ],
    ["encoded", { body: "{}", headers: { "content-encoding": "gzip" } }, "REGISTRY_PROTOCOL"],
  ])("what is %s is refused", async (_, answer, code) => {
    registry.answers.push({ on: /./, ...answer });
    await expect(repository.fetchManifest("v1")).rejects.toMatchObject({ code });
  });

  test("takes the media type from inside when the header says nothing", async () => {
    registry.answers.push({
      on: /./,
      body: bytes.toString(),
      headers: { "content-type": "application/json" },
    });
    expect((await repository.fetchManifest("v1")).descriptor).toEqual(descriptor);
  });

  test("starts over when it breaks half-way", async () => {
    registry.answers.push({ on: /./, reset: true });
    expect((await repository.fetchManifest("v1")).bytes).toEqual(bytes);
  });
});

describe("listing tags", () => {
  const page = (tags: string[] | null, next?: string) => ({
    on: /tags/,
    body: JSON.stringify({ tags }),
    headers: next === undefined ? undefined : { link: `<${next}>; rel="next"` },
  });

  test("gives them in the registry's order", async () => {
    expect(await repository.listTags()).toEqual(["v1"]);
  });

  test("goes from page to page, and names each tag once", async () => {
    registry.answers.push(page(["c", "a"], "/v2/team/model/tags/list?last=a"), page(["a", "b"]));
    expect(await repository.listTags()).toEqual(["c", "a", "b"]);
    expect(registry.lines()).toEqual([
      "GET /v2/team/model/tags/list",
      "GET /v2/team/model/tags/list?last=a",
    ]);
  });

  test.each([
    ["an unknown repository", { on: /tags/, status: 404 }],
    ["null", page(null)],
  ])("of %s gives none", async (_, answer) => {
    registry.answers.push(answer);
    expect(await repository.listTags()).toEqual([]);
  });

  test.each([
    ["lead back", () => page(["a"], "/v2/team/model/tags/list")],
    ["lead elsewhere", () => page(["a"], "http://registry.example.com/v2/x/tags/list")],
  ])("ends with an error when pages %s", async (_, answer) => {
    registry.answers.push(answer());
    await expect(repository.listTags()).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
    expect(registry.seen).toHaveLength(1);
  });

  test("ends with an error when pages never end", async () => {
    for (let at = 0; at < 1001; at += 1) registry.answers.push(page([`t${at}`], `?last=${at}`));
    await expect(repository.listTags()).rejects.toThrow("more than 1000 pages");
  });

  test.each(["[]", '{"tags":7}', "<html>"])("refuses %s", async (body) => {
    registry.answers.push({ on: /tags/, body });
    await expect(repository.listTags()).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
  });
});
