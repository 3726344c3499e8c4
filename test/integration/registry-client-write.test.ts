import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import { errorBody, type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const content = randomBytes(700_000);
const blob = { digest: digestOf(content), size: content.byteLength };
const manifest = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  bytes: Buffer.from('{"schemaVersion":2}'),
};

let registry: FaultRegistry;
let repository: RegistryRepository;
/** How often a body was started. */
let bodies: number;

beforeEach(async () => {
  registry = await startFaultRegistry({ auth: "bearer" });
  repository = await open();
  bodies = 0;
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

function open(options: Partial<RegistryRepositoryOptions> = {}): Promise<RegistryRepository> {
  return openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    writes: true,
    retry: { attempts: 3, baseDelayMs: 1 },
    ...options,
  });
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  bodies += 1;
  const buffer = Buffer.alloc(100_000);
  for (let at = 0; at < content.byteLength; at += buffer.byteLength) {
    content.copy(buffer, 0, at);
    yield buffer;
  }
}

describe("putting a blob", () => {
  test("is one POST and one PUT that keeps the Location's own parameters", async () => {
    await repository.putBlob(blob, pieces);
    expect(registry.blobs.get(blob.digest)).toEqual(content);
    const [put] = registry.lines(/^PUT/);
    expect(put).toMatch(
      /^PUT \/v2\/team\/model\/blobs\/uploads\/[0-9a-f-]+\?_state=a%20b%2Bc&digest=sha256:/,
    );
    expect(registry.seen.at(-1)?.headers["content-length"]).toBe("700000");
    expect(bodies).toBe(1);
  });

  test("takes one piece, or none", async () => {
    await repository.putBlob(blob, () => [content]);
    const empty = { digest: digestOf(Buffer.alloc(0)), size: 0 };
    await repository.putBlob(empty, () => []);
    expect([...registry.blobs.keys()]).toEqual([blob.digest, empty.digest]);
  });

  test.each<[string, (path: string) => string]>([
    ["absolute", (path) => `${registry.url}${path}`],
    ["without the port", (path) => `http://127.0.0.1${path}`],
    ["without parameters", (path) => path.replace(/\?.*/, "")],
    ["relative to the host", (path) => `//${registry.host}${path}`],
  ])("follows a Location that is %s", async (_, rewrite) => {
    registry.rewriteLocation = rewrite;
    await repository.putBlob(blob, pieces);
    expect(registry.blobs.has(blob.digest)).toBe(true);
  });

  test("sends no credentials to a Location elsewhere", async () => {
    const elsewhere = await startFaultRegistry();
    registry.rewriteLocation = (path) => `${elsewhere.url}${path}`;
    await repository.putBlob(blob, pieces);
    expect(elsewhere.blobs.has(blob.digest)).toBe(true);
    expect(elsewhere.seen[0]?.headers.authorization).toBeUndefined();
    await elsewhere[Symbol.asyncDispose]();
  });

  test("starts over, with a new session and a new token, when the token expired", async () => {
    registry.answers.push({
      on: /^PUT/,
      status: 401,
      headers: { "www-authenticate": `Bearer realm="${registry.url}/token"` },
    });
    await repository.putBlob(blob, pieces);
    expect(registry.blobs.get(blob.digest)).toEqual(content);
    expect(repository.requests.token).toBe(2);
    expect(bodies).toBe(2);
  });

  test.each([404, 416, 500, 503])("starts over when PUT answers %d", async (status) => {
    registry.answers.push({ on: /^PUT/, status });
    await repository.putBlob(blob, pieces);
    expect(registry.blobs.get(blob.digest)).toEqual(content);
    const sessions = registry.lines(/^PUT/).map((line) => line.split("?")[0]);
    expect(new Set(sessions).size).toBe(2);
  });

  test("starts over after a reset", async () => {
    registry.answers.push({ on: /^PUT/, reset: true });
    await repository.putBlob(blob, pieces);
    expect(registry.blobs.get(blob.digest)).toEqual(content);
  });

  test.each([
    ["DIGEST_MISMATCH", { status: 400, body: errorBody("DIGEST_INVALID") }],
    ["REGISTRY_LIMIT", { status: 413 }],
    ["REGISTRY_PROTOCOL", { status: 400, body: errorBody("BLOB_UPLOAD_INVALID") }],
    ["FORBIDDEN", { status: 403, body: errorBody("DENIED", "quota\nexceeded") }],
  ])("ends at once as %s", async (code, answer) => {
    registry.answers.push({ on: /^PUT/, ...answer });
    await expect(repository.putBlob(blob, pieces)).rejects.toMatchObject({ code });
    expect(bodies).toBe(1);
  });

  test("of other bytes is refused by the registry", async () => {
    const other = () => [randomBytes(content.byteLength)];
    await expect(repository.putBlob(blob, other)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    expect(registry.blobs.size).toBe(0);
  });

  test.each([
    ["shorter", [content.subarray(1)]],
    ["longer", [content, Buffer.from("x")]],
    ["missing", []],
  ])("whose body is %s is refused here", async (_, body) => {
    await expect(repository.putBlob(blob, () => body)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    expect(registry.blobs.size).toBe(0);
  });

  test("whose body fails ends with that failure, once", async () => {
    const changed = new ModelError("SOURCE_CHANGED", "a.bin changed");
    const body = async function* () {
      bodies += 1;
      yield content.subarray(0, 100_000);
      throw changed;
    };
    await expect(repository.putBlob(blob, body)).rejects.toBe(changed);
    expect(bodies).toBe(1);
  });

  test("that is aborted ends with the caller's reason and its body's end", async () => {
    const controller = new AbortController();
    const ended = Promise.withResolvers<void>();
    const reason = new Error("enough");
    const body = async function* () {
      try {
        for (let at = 0; ; at += 100_000) {
          yield content.subarray(at, at + 100_000);
          controller.abort(reason);
        }
      } finally {
        ended.resolve();
      }
    };
    const { signal } = controller;
    await expect(repository.putBlob(blob, body, { signal })).rejects.toBe(reason);
    await ended.promise;
  });

  test("without a Location is refused", async () => {
    registry.tokens.add("x");
    registry.answers.push({ on: /^POST/, status: 202 });
    await expect(repository.putBlob(blob, pieces)).rejects.toMatchObject({
      code: "REGISTRY_PROTOCOL",
    });
  });
});

describe("mounting a blob", () => {
  test("is true where the registry has it", async () => {
    registry.addBlob(content);
    expect(await repository.mountBlob(blob.digest, "team/base")).toBe(true);
    expect(registry.lines(/^POST/).at(-1)).toContain(
      `mount=${encodeURIComponent(blob.digest)}&from=team%2Fbase`,
    );
  });

  test("is false, and the opened upload given back, where it has not", async () => {
    expect(await repository.mountBlob(blob.digest, "team/base")).toBe(false);
    expect(registry.lines(/^DELETE/)).toHaveLength(1);
  });

  test.each([403, 404, 405])("is false when the answer is %d", async (status) => {
    await repository.statBlob(blob.digest);
    registry.answers.push({ on: /^POST.*mount/, status });
    expect(await repository.mountBlob(blob.digest, "team/base")).toBe(false);
  });

  test("is false when no token can be had for the other repository", async () => {
    registry.answers.push({ on: /token.*base/, status: 401 });
    expect(await repository.mountBlob(blob.digest, "team/base")).toBe(false);
  });

  test("does not care whether the upload can be given back", async () => {
    registry.answers.push({ on: /^DELETE/, status: 405 });
    expect(await repository.mountBlob(blob.digest, "team/base")).toBe(false);
  });
});

describe("putting a manifest", () => {
  test("resolves to what was stored", async () => {
    const descriptor = await repository.putManifest("v1", manifest);
    expect(descriptor).toEqual({
      mediaType: manifest.mediaType,
      digest: digestOf(manifest.bytes),
      size: manifest.bytes.byteLength,
    });
    expect(registry.manifests.get("v1")).toEqual(manifest);
  });

  test("under another digest is refused before anything is sent", async () => {
    const putting = repository.putManifest(blob.digest, manifest);
    await expect(putting).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    expect(registry.seen).toHaveLength(0);
  });

  test("that arrives as another is DIGEST_MISMATCH", async () => {
    registry.answers.push({
      on: /^PUT/,
      status: 201,
      headers: { "docker-content-digest": blob.digest },
    });
    await expect(repository.putManifest("v1", manifest)).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
  });

  test.each([
    [400, "MANIFEST_BLOB_UNKNOWN", { digest: blob.digest }],
    [404, "MANIFEST_BLOB_UNKNOWN", blob.digest],
    [404, "BLOB_UNKNOWN", { Name: "x", Digest: blob.digest }],
  ])("with %d %s is BLOB_UNKNOWN with the digest", async (status, code, detail) => {
    registry.answers.push({ on: /^PUT/, status, body: errorBody(code, "unknown", detail) });
    const putting = repository.putManifest("v1", manifest);
    await expect(putting).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
    await expect(putting).rejects.toThrow(blob.digest);
  });

  test.each([
    [413, "SIZE_INVALID", "REGISTRY_LIMIT"],
    [400, "MANIFEST_INVALID", "REGISTRY_PROTOCOL"],
    [404, "NAME_UNKNOWN", "NOT_FOUND"],
  ])("with %d %s is %s", async (status, error, code) => {
    registry.answers.push({ on: /^PUT/, status, body: errorBody(error) });
    await expect(repository.putManifest("v1", manifest)).rejects.toMatchObject({ code });
  });

  test("that is refused shows the registry's reason on one short line", async () => {
    const reason = `no\r\n\u001b[2Jlayers, see http://x.example.com/?token=secret ${"a".repeat(9000)}`;
    registry.answers.push({
      on: /^PUT/,
      status: 400,
      body: errorBody("MANIFEST_INVALID", reason.slice(0, 4000)),
    });
    const error: unknown = await repository
      .putManifest("v1", manifest)
      .catch((failed: unknown) => failed);
    const { message } = error as Error;
    expect(message).toMatch(/MANIFEST_INVALID: no \[2Jlayers, see http:\/\/x\.example\.com\/ aaa/);
    expect(message).not.toMatch(/[\p{Cc}]|secret/u);
    expect(message.length).toBeLessThan(500);
  });

  test("whose explanation is endless is refused all the same", async () => {
    registry.answers.push({ on: /^PUT/, status: 400, body: "x".repeat(1_000_000) });
    await expect(repository.putManifest("v1", manifest)).rejects.toMatchObject({
      code: "REGISTRY_PROTOCOL",
    });
  });
});
