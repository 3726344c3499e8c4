import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { digestOf, parseDigest } from "../../src/core/digest.ts";
import type { Credential } from "../../src/registry/client/auth/credential.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import {
  basic,
  type FaultRegistry,
  sha256,
  startFaultRegistry,
} from "../support/registry-faults.ts";

const content = randomBytes(200_000);
const digest = parseDigest(sha256(content));
const password: Credential = {
  kind: "password",
  username: "user",
  password: "secret",
  origin: "from a test",
};

let registry: FaultRegistry;
const opened: RegistryRepository[] = [];

beforeEach(async () => {
  registry = await startFaultRegistry({ auth: "bearer" });
  registry.addBlob(content);
});
afterEach(async () => {
  vi.useRealTimers();
  for (const repository of opened.splice(0)) await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

async function open(
  credential?: Credential,
  options: Partial<RegistryRepositoryOptions> = {},
): Promise<RegistryRepository> {
  const repository = await openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry: { attempts: 3, baseDelayMs: 1 },
    credentials: { get: async () => credential },
    ...options,
  });
  opened.push(repository);
  return repository;
}

async function useBasic(): Promise<void> {
  await registry[Symbol.asyncDispose]();
  registry = await startFaultRegistry({ auth: "basic" });
  registry.addBlob(content);
  registry.login = "user:secret";
}

const scopes = () =>
  registry
    .lines(/token/)
    .map((line) => new URL(line.slice(4), registry.url).searchParams.getAll("scope"));

async function failure(promise: Promise<unknown>): Promise<Error & { code: string; hint: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { code: string; hint: string };
  }
  throw new Error("it should have failed");
}

describe("tokens", () => {
  test("are asked for after the first 401 and used from then on", async () => {
    const repository = await open();
    for (let time = 0; time < 3; time += 1) expect(await repository.statBlob(digest)).toBe(200_000);
    expect(repository.requests).toEqual({ registry: 4, token: 1, redirected: 0 });
    const [line] = registry.lines(/token/);
    expect(line).toBe("GET /token?service=faults&scope=repository%3Ateam%2Fmodel%3Apull");
  });

  test("cover push where the repository is opened for writing", async () => {
    const repository = await open(undefined, { writes: true });
    await repository.statBlob(digest);
    expect(scopes()).toEqual([["repository:team/model:pull,push"]]);
  });

  test("cover the other repository for a mount", async () => {
    const repository = await open(undefined, { writes: true });
    await repository.statBlob(digest);
    expect(await repository.mountBlob(digest, "team/base")).toBe(true);
    const both = ["repository:team/base:pull", "repository:team/model:pull,push"];
    expect(scopes()).toEqual([["repository:team/model:pull,push"], both]);
  });

  test("are asked for once by many requests at a time", async () => {
    const repository = await open();
    await Promise.all(Array.from({ length: 8 }, () => repository.statBlob(digest)));
    expect(repository.requests.token).toBe(1);
  });

  test("are asked for with the password, which the registry never sees", async () => {
    registry.login = "user:secret";
    await (await open(password)).statBlob(digest);
    const [head, token, again] = registry.seen.map(({ headers }) => headers.authorization);
    expect([head, token]).toEqual([undefined, basic("user:secret")]);
    expect(again).toMatch(/^Bearer [0-9a-f-]{36}$/);
  });

  test("are had for an identity token by POST", async () => {
    registry.login = "identity";
    await (await open({ kind: "identity-token", token: "identity", origin: "" })).statBlob(digest);
    const asked = registry.seen.find(({ method }) => method === "POST");
    expect(Object.fromEntries(new URLSearchParams(asked?.body.toString()))).toEqual({
      grant_type: "refresh_token",
      refresh_token: "identity",
      client_id: "ballast",
      service: "faults",
      scope: "repository:team/model:pull",
    });
    expect(asked?.headers.authorization).toBeUndefined();
  });

  test("that were given to us are used as they are", async () => {
    registry.tokens.add("given");
    const repository = await open({ kind: "registry-token", token: "given", origin: "" });
    expect(await repository.statBlob(digest)).toBe(200_000);
    expect(repository.requests.token).toBe(0);
  });

  test("are renewed shortly before they expire", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    registry.expiresIn = 300;
    const repository = await open();
    await repository.statBlob(digest);
    vi.setSystemTime(Date.now() + 269_000);
    await repository.statBlob(digest);
    expect(repository.requests.token).toBe(1);
    vi.setSystemTime(Date.now() + 2000);
    await repository.statBlob(digest);
    expect(repository.requests).toEqual({ registry: 4, token: 2, redirected: 0 });
  });

  test("last a minute when nothing is said", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const repository = await open();
    await repository.statBlob(digest);
    vi.setSystemTime(Date.now() + 44_000);
    await repository.statBlob(digest);
    expect(repository.requests.token).toBe(1);
    vi.setSystemTime(Date.now() + 2000);
    await repository.statBlob(digest);
    expect(repository.requests.token).toBe(2);
  });

  test("that stop working in the middle of a blob are renewed", async () => {
    const repository = await open();
    registry.blobFaults.push({ resetAfter: 100_000 });
    const pieces: Buffer[] = [];
    for await (const piece of repository.readBlob(digest)) {
      registry.tokens.clear();
      pieces.push(Buffer.from(piece));
    }
    expect(Buffer.concat(pieces)).toEqual(content);
    expect(repository.requests.token).toBe(2);
  });

  test("that stop working are renewed once for many requests at a time", async () => {
    const repository = await open();
    await repository.statBlob(digest);
    registry.tokens.clear();
    await Promise.all(Array.from({ length: 8 }, () => repository.statBlob(digest)));
    expect(repository.requests.token).toBe(2);
  });

  test("that stop working again before the request is sent anew are renewed again", async () => {
    const repository = await open();
    await repository.statBlob(digest);
    let heads = 0;
    registry.intercept = ({ method }) => {
      if (method === "HEAD" && (heads += 1) <= 2) registry.tokens.clear();
      return undefined;
    };
    expect(await repository.statBlob(digest)).toBe(200_000);
    expect(repository.requests).toEqual({ registry: 5, token: 3, redirected: 0 });
  });

  test("that let one request in each bring all of them in", async () => {
    const repository = await open();
    await repository.statBlob(digest);
    const used = new Set<string>();
    registry.intercept = ({ headers: { authorization = "" } }) => {
      const token = authorization.replace("Bearer ", "");
      if (used.has(token)) registry.tokens.delete(token);
      used.add(token);
      return undefined;
    };
    await Promise.all(Array.from({ length: 5 }, () => repository.statBlob(digest)));
    expect(repository.requests.token).toBe(5);
    expect(repository.requests.registry).toBeLessThanOrEqual(2 + 5 + 4 + 3 + 2 + 1);
  });

  test("that let one request in each bring in many more than there are connections", async () => {
    const repository = await open();
    await repository.statBlob(digest);
    const used = new Set<string>();
    registry.intercept = ({ headers: { authorization = "" } }) => {
      const token = authorization.replace("Bearer ", "");
      if (used.has(token)) registry.tokens.delete(token);
      used.add(token);
      return undefined;
    };
    const sizes = await Promise.all(Array.from({ length: 48 }, () => repository.statBlob(digest)));
    expect(new Set(sizes)).toEqual(new Set([200_000]));
  });

  test("are asked for again after trouble at the realm", async () => {
    const trouble = { on: /token/, status: 503 };
    registry.answers.push(trouble, trouble);
    expect(await (await open()).statBlob(digest)).toBe(200_000);
  });

  test("go on being fetched for others when one caller gives up", async () => {
    const repository = await open();
    const controller = new AbortController();
    const reason = new Error("enough");
    const one = repository.statBlob(digest, { signal: controller.signal });
    const other = repository.statBlob(digest);
    while (registry.seen.length < 2) await new Promise(setImmediate);
    controller.abort(reason);
    await expect(one).rejects.toBe(reason);
    expect(await other).toBe(200_000);
  });
});

describe("Basic", () => {
  test("is sent from the first 401 on", async () => {
    await useBasic();
    const repository = await open(password);
    await repository.statBlob(digest);
    await repository.statBlob(digest);
    expect(repository.requests).toEqual({ registry: 3, token: 0, redirected: 0 });
  });

  test("without credentials is UNAUTHORIZED", async () => {
    await useBasic();
    const { code, hint } = await failure((await open()).statBlob(digest));
    expect([code, hint]).toEqual([
      "UNAUTHORIZED",
      expect.stringContaining(`no credentials found for ${registry.host}`),
    ]);
  });

  test("with a wrong password is UNAUTHORIZED after one try, and says where it is from", async () => {
    await useBasic();
    registry.login = "user:other";
    const { code, hint, message } = await failure((await open(password)).statBlob(digest));
    expect([code, hint]).toEqual([
      "UNAUTHORIZED",
      `credentials for ${registry.host} were refused (from a test)`,
    ]);
    expect(registry.seen).toHaveLength(2);
    expect(message).not.toContain("secret");
  });

  test("cannot be had from a token", async () => {
    await useBasic();
    const token: Credential = { kind: "registry-token", token: "given", origin: "" };
    expect((await failure((await open(token)).statBlob(digest))).code).toBe("UNAUTHORIZED");
  });
});

describe("a registry that does not let us in", () => {
  test("at its realm: UNAUTHORIZED with who was refused", async () => {
    registry.login = "user:other";
    const { code, hint } = await failure((await open(password)).statBlob(digest));
    expect([code, hint]).toEqual([
      "UNAUTHORIZED",
      expect.stringContaining("were refused (from a test)"),
    ]);
    expect(registry.lines(/token/)).toHaveLength(1);
  });

  test("without credentials, at its realm: says that there are none", async () => {
    registry.login = "user:other";
    const { code, hint } = await failure((await open()).statBlob(digest));
    expect([code, hint]).toEqual(["UNAUTHORIZED", expect.stringContaining("no credentials found")]);
  });

  test("and takes no token at all: ends after one new token", async () => {
    vi.spyOn(registry.tokens, "has").mockReturnValue(false);
    const { code } = await failure((await open(password)).statBlob(digest));
    expect(code).toBe("UNAUTHORIZED");
    expect(registry.seen).toHaveLength(3);
  });

  test("any more: ends after two new tokens", async () => {
    const repository = await open(password);
    await repository.statBlob(digest);
    vi.spyOn(registry.tokens, "has").mockReturnValue(false);
    const before = registry.seen.length;
    expect((await failure(repository.statBlob(digest))).code).toBe("UNAUTHORIZED");
    const since = registry.seen.slice(before).map(({ url }) => url.startsWith("/token"));
    expect(since).toEqual([false, true, false, true, false]);
  });

  test("to write: ends after one new token, although reading works", async () => {
    const repository = await open(password, { writes: true });
    await repository.statBlob(digest);
    const challenge = `Bearer realm="${registry.url}/token",error="insufficient_scope"`;
    registry.intercept = ({ method }) =>
      method === "POST" ? { status: 401, headers: { "www-authenticate": challenge } } : undefined;
    const writing = repository.putBlob({ digest: digestOf("x"), size: 1 }, () => [
      Buffer.from("x"),
    ]);
    const { code, message } = await failure(writing);
    expect([code, message]).toEqual([
      "UNAUTHORIZED",
      expect.stringContaining("does not let them do this"),
    ]);
    expect(registry.lines(/^POST/)).toHaveLength(2);
  });

  test("to write, without saying why: ends after one new token, while others go on reading", async () => {
    const repository = await open(password, { writes: true });
    await repository.statBlob(digest);
    const challenge = `Bearer realm="${registry.url}/token",service="faults"`;
    registry.intercept = ({ method }) =>
      method === "POST" ? { status: 401, headers: { "www-authenticate": challenge } } : undefined;
    const stop = new AbortController();
    const reading = (async () => {
      while (!stop.signal.aborted) await repository.statBlob(digest);
    })();
    const writing = repository.putBlob({ digest: digestOf("x"), size: 1 }, () => [
      Buffer.from("x"),
    ]);
    const { code } = await failure(writing);
    stop.abort();
    await reading;
    expect(code).toBe("UNAUTHORIZED");
    expect(registry.lines(/^POST/)).toHaveLength(2);
  });

  test("with 403: FORBIDDEN with its reason", async () => {
    registry.answers.push({
      on: /^HEAD/,
      status: 403,
    });
    expect((await failure((await open(password)).statBlob(digest))).code).toBe("FORBIDDEN");
  });

  test("with 404 for what is private: a hint about credentials", async () => {
    const repository = await open();
    registry.answers.push({ on: /manifests/, status: 404 });
    const { code, hint } = await failure(repository.fetchManifest("v1"));
    expect([code, hint]).toEqual([
      "NOT_FOUND",
      expect.stringContaining("if " + `${registry.host}/team/model is private`),
    ]);
  });

  test("with 404 for someone who is known: no such hint", async () => {
    const repository = await open(password);
    await repository.statBlob(digest);
    const { code, hint } = await failure(repository.fetchManifest("v1"));
    expect([code, hint]).toEqual(["NOT_FOUND", undefined]);
  });

  test.each([
    ["another scheme only", "Negotiate", "UNAUTHORIZED"],
    ["no challenge at all", "", "UNAUTHORIZED"],
    ["a realm that is no web address", 'Bearer realm="file:///etc/passwd"', "REGISTRY_PROTOCOL"],
  ])("with %s", async (_, challenge, code) => {
    registry.answers.push({ on: /^HEAD/, status: 401, headers: { "www-authenticate": challenge } });
    expect((await failure((await open()).statBlob(digest))).code).toBe(code);
  });

  test.each([
    ["no token", "{}"],
    ["no JSON", "<html>"],
    ["a token that breaks the header", '{"token":"a\\r\\nb"}'],
    ["a list", "[]"],
  ])("with %s at the realm", async (_, body) => {
    registry.answers.push({ on: /token/, status: 200, body });
    expect((await failure((await open()).statBlob(digest))).code).toBe("REGISTRY_PROTOCOL");
  });
});
