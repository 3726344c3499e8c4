import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseDigest } from "../../src/core/digest.ts";
import { pingRegistry } from "../../src/registry/client/ping.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
} from "../../src/registry/client/registry-repository.ts";
import { type FaultRegistry, sha256, startFaultRegistry } from "../support/registry-faults.ts";

const content = randomBytes(200_000);
const digest = parseDigest(sha256(content));
const bearer = "Bearer of-somebody";

let registry: FaultRegistry;
const opened: RegistryRepository[] = [];

beforeEach(async () => {
  registry = await startFaultRegistry({ auth: "bearer" });
  registry.addBlob(content);
  registry.tokens.add("of-somebody");
});
afterEach(async () => {
  for (const repository of opened.splice(0)) await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

async function open(authorization: string | undefined): Promise<RegistryRepository> {
  const repository = await openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry: { attempts: 3, baseDelayMs: 1 },
    onBehalfOf: { authorization },
    // Whoever asks on somebody's behalf must not use his own.
    credentials: {
      get: async () => ({ kind: "registry-token", token: "of-somebody", origin: "from a test" }),
    },
  });
  opened.push(repository);
  return repository;
}

describe("a registry that is asked on somebody's behalf", () => {
  test("gets their Authorization as it is, at once, and no token is asked for", async () => {
    const repository = await open(bearer);
    expect(await repository.statBlob(digest)).toBe(content.byteLength);
    expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([bearer]);
  });

  test.each([[undefined], ["Bearer other"], ["Basic b3RoZXI6b3RoZXI="]])(
    "that refuses %s is asked once, and what it asks for comes back",
    async (authorization) => {
      const repository = await open(authorization);
      const asked = `Bearer realm="${registry.url}/token",service="faults",scope="repository:team/model:pull"`;
      await expect(repository.statBlob(digest)).rejects.toMatchObject({
        code: "UNAUTHORIZED",
        challenges: [asked],
      });
      expect(registry.seen.map(({ headers }) => headers.authorization)).toEqual([authorization]);
    },
  );

  test("does not get it where it redirects to", async () => {
    await using storage = await startFaultRegistry();
    storage.addBlob(content);
    registry.redirectBlobs = (blob) => `${storage.url}/v2/team/model/blobs/${blob}`;
    expect(await (await open(bearer)).statBlob(digest)).toBe(content.byteLength);
    expect(storage.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("says at its root how it wants them to log in", async () => {
    const ping = (authorization?: string) =>
      pingRegistry({ host: registry.host, onBehalfOf: { authorization } });
    await ping(bearer);
    expect(registry.lines()).toEqual(["GET /v2/"]);
    await expect(ping()).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      challenges: [expect.stringContaining(`realm="${registry.url}/token"`)],
    });
  });
});
