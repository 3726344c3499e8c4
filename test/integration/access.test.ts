import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { parseReference } from "../../src/core/reference.ts";
import { checkAccess } from "../../src/model/access.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { startRawRangeServer } from "../support/raw-range-server.ts";
import { type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const bytes = Buffer.from('{"schemaVersion":2}');
const digest = digestOf(bytes);
const other = digestOf("another manifest");

let registry: FaultRegistry;

beforeEach(async () => {
  registry = await startFaultRegistry();
  const manifest = { mediaType: "application/vnd.oci.image.manifest.v1+json", bytes };
  for (const key of ["v1", "latest", digest]) registry.manifests.set(key, manifest);
});
afterEach(async () => registry[Symbol.asyncDispose]());

const named = (suffix: string) => parseReference(`${registry.host}/team/model${suffix}`);

describe("access to a model", () => {
  test.each([
    ["by tag", ":v1", undefined, "v1"],
    ["by the tag that none means", "", undefined, "latest"],
    ["by the digest of the reference", `:v1@${digest}`, undefined, digest],
    ["by the digest that is known, not by the tag", ":gone", digest, digest],
  ])("is checked with one HEAD, %s", async (_, suffix, known, asked) => {
    expect(await checkAccess(named(suffix), known)).toEqual({ digest });
    expect(registry.lines()).toEqual([`HEAD /v2/team/model/manifests/${asked}`]);
  });

  test.each([
    [401, "UNAUTHORIZED"],
    [403, "FORBIDDEN"],
    [404, "NOT_FOUND"],
  ])("that is answered with %d is %s, and not asked for again", async (status, code) => {
    const headers = { "www-authenticate": 'Basic realm="x"' };
    registry.intercept = () => ({ status, headers });
    const asking = checkAccess(named(":v1"), digest, {
      credentials: { username: "user", password: "secret" },
    });
    await expect(asking).rejects.toMatchObject({ code });
    await expect(asking).rejects.toThrow("team/model");
    // A 401 is answered with the credentials, once.
    expect(registry.seen).toHaveLength(status === 401 ? 2 : 1);
  });

  test("to a digest that the repository has not is NOT_FOUND", async () => {
    const asking = checkAccess(named(":v1"), other);
    await expect(asking).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(asking).rejects.toThrow(other);
  });

  test("in a layout folder that is not there is NOT_FOUND", async () => {
    await using folder = await makeTemporaryFolder();
    const reference = parseReference(`oci:${folder.path}/none:v1`);
    await expect(checkAccess(reference, undefined)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("is asked for a few times when the registry is in trouble, then is REGISTRY_UNAVAILABLE", async () => {
    registry.intercept = () => ({ status: 503, headers: { "retry-after": "0" } });
    const asking = checkAccess(named(":v1"), digest);
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: true });
    expect(registry.seen).toHaveLength(3);
  });

  test("is there when the trouble of the registry passes", async () => {
    registry.answers.push({ on: /HEAD/, status: 503, headers: { "retry-after": "0" } });
    expect(await checkAccess(named(":v1"), digest)).toEqual({ digest });
  });

  test("to a registry that says nothing is REGISTRY_UNAVAILABLE within the budget", async () => {
    await using silent = await startRawRangeServer({ content: bytes });
    silent.otherwise = () => undefined;
    const reference = parseReference(`${silent.host}/team/model:v1`);
    const asking = checkAccess(reference, digest, { budgetMs: 200 });
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: true });
    await expect(asking).rejects.toThrow(`${silent.host}/team/model`);
    expect(silent.requests).toHaveLength(1);
  });

  test("to a registry that asks for a long wait is REGISTRY_UNAVAILABLE within the budget", async () => {
    registry.intercept = () => ({ status: 429, headers: { "retry-after": "3600" } });
    const asking = checkAccess(named(":v1"), digest, { budgetMs: 200 });
    await expect(asking).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: true });
    expect(registry.seen).toHaveLength(1);
  });

  test("is CANCELLED when its caller stops it", async () => {
    const stop = new AbortController();
    registry.intercept = () => {
      stop.abort();
      return { status: 503 };
    };
    const asking = checkAccess(named(":v1"), digest, { signal: stop.signal });
    await expect(asking).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test.each([0, -1, 1.5])("with a budget of %d ms is INVALID_ARGUMENT", async (budgetMs) => {
    const asking = checkAccess(named(":v1"), digest, { budgetMs });
    await expect(asking).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(registry.seen).toHaveLength(0);
  });
});
