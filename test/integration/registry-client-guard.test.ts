import type { LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { isModelError, type ModelError } from "../../src/core/errors.ts";
import type { NetworkGuard } from "../../src/core/network/network-guard.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { openWire } from "../../src/registry/client/http/wire.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import { openConnection } from "../../src/transfer/socket/http-connection.ts";
import { startForwardProxy } from "../support/forward-proxy.ts";
import { makeTemporaryFolder, writeTree } from "../support/models.ts";
import { partial, redirect, status } from "../support/raw-answers.ts";
import { type RawRangeServer, startRawRangeServer } from "../support/raw-range-server.ts";
import { type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";
import { seededBytes } from "../support/workplace.ts";

const content = Buffer.from("a manifest, or a blob");
const digest = digestOf(content);
const timeouts = { connectMs: 5000, headersMs: 5000, bodyMs: 5000 };

let registry: FaultRegistry;
/** Where the registry sends its clients; it should not hear of it. */
let inner: RawRangeServer;
const opened: AsyncDisposable[] = [];

beforeEach(async () => {
  registry = keep(await startFaultRegistry({ auth: "bearer" }));
  registry.addBlob(content);
  inner = keep(await startRawRangeServer({ content, address: "127.0.0.2" }));
});
afterEach(async () => {
  for (const resource of opened.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

function keep<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource);
  return resource;
}

async function open(
  guard: NetworkGuard | undefined,
  options: Partial<RegistryRepositoryOptions> = {},
): Promise<RegistryRepository> {
  const { host } = registry;
  const common = { host, repository: "team/model", writes: true, guard };
  return keep(await openRegistryRepository({ ...common, ...options }));
}

async function refusal(promise: Promise<unknown>): Promise<ModelError> {
  const outcome = await promise.catch((error: unknown) => error);
  if (isModelError(outcome, "FORBIDDEN")) return outcome;
  throw new Error("it should have been refused", { cause: outcome });
}

async function readAll(repository: RegistryRepository): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of repository.readBlob(digest)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** Has every request answered with a 401 that names a realm. */
function askForTokensOf(realm: string): void {
  const challenge = `Bearer realm="${realm}",service="faults"`;
  registry.intercept = ({ headers }) =>
    headers.authorization === "Bearer given"
      ? undefined
      : { status: 401, headers: { "www-authenticate": challenge } };
}

describe("a token realm", () => {
  const token = '{"token":"given"}';

  beforeEach(() => {
    registry.tokens.add("given");
    inner.otherwise = status(200, { "Content-Type": "application/json" }, token);
    askForTokensOf(`${inner.url}/token`);
  });

  test("that a guard refuses is FORBIDDEN, and hears nothing", async () => {
    const credentials = {
      get: async () => ({ kind: "identity-token", token: "secret", origin: "" }) as const,
    };
    const repository = await open({}, { credentials });
    const failure = await refusal(repository.statBlob(digest));
    expect(failure.message).toBe(
      `token for ${registry.host} from ${inner.host}: ${registry.host} names the token realm ` +
        `${inner.host}, whose address is not allowed (loopback)`,
    );
    expect(failure.hint).toBe(
      `if that is intended, the operator lists ${inner.host} in network.allow`,
    );
    expect(inner.connections).toBe(0);
    expect(registry.seen).toHaveLength(1);
  });

  test.each(["127.0.0.2", "127.0.0.2:PORT"])("that a guard allows (%s) is asked", async (entry) => {
    const allow = [entry.replace("PORT", new URL(inner.url).port)];
    expect(await (await open({ allow })).statBlob(digest)).toBe(content.byteLength);
    expect(inner.requests).toHaveLength(1);
  });

  test("without a guard is asked wherever it is", async () => {
    expect(await (await open(undefined)).statBlob(digest)).toBe(content.byteLength);
    expect(inner.requests).toHaveLength(1);
  });

  test("of the registry's own host and port is asked, whatever is refused", async () => {
    registry.intercept = undefined;
    const repository = await open({ refuse: ["0.0.0.0/0"] });
    expect(await repository.statBlob(digest)).toBe(content.byteLength);
    expect(repository.requests.token).toBe(1);
  });
});

describe("a registry that sends clients elsewhere", () => {
  const manifest = { mediaType: "application/vnd.oci.image.manifest.v1+json", bytes: content };

  beforeEach(() => {
    registry.tokens.add("given");
    registry.intercept = ({ method }) => ({
      status: method === "POST" ? 202 : 307,
      headers: { location: `${inner.url}/elsewhere?sig=secret` },
    });
  });

  const calls: Readonly<Record<string, (repository: RegistryRepository) => Promise<unknown>>> = {
    "a manifest": (repository) => repository.fetchManifest("v1"),
    "the digest of a manifest": (repository) => repository.resolveManifest("v1"),
    "the size of a blob": (repository) => repository.statBlob(digest),
    "the tags": (repository) => repository.listTags(),
    "an upload": (repository) =>
      repository.putBlob({ digest, size: content.byteLength }, () => [content]),
    "a manifest that is put": (repository) => repository.putManifest("v1", manifest),
    "a blob": readAll,
  };

  test.each(Object.keys(calls))("for %s is FORBIDDEN, and nobody hears of it", async (name) => {
    const failure = await refusal(calls[name]?.(await open({})) ?? Promise.resolve());
    expect(failure.message).toContain(
      `${registry.host} redirects to ${inner.host}, whose address is not allowed (loopback)`,
    );
    expect(`${failure.message} ${failure.hint}`).not.toContain("secret");
    expect(inner.connections).toBe(0);
    expect(registry.seen).toHaveLength(1);
  });

  test("to a range that the guard lists is FORBIDDEN too", async () => {
    const guard = { refuse: ["127.0.0.2/31"], allow: ["127.0.0.0/31"] };
    const failure = await refusal((await open(guard)).statBlob(digest));
    expect(failure.message).toContain("(loopback)");
    registry.intercept = () => ({ status: 307, headers: { location: "http://10.42.7.9/x" } });
    const other = await refusal((await open({ refuse: ["10.42.0.0/16"] })).statBlob(digest));
    expect(other.message).toContain("10.42.7.9, whose address is not allowed (refused range)");
    expect(other.hint).toContain("10.42.7.9:80");
  });
});

describe("through a proxy", () => {
  test("a guard judges hosts that are addresses; names are the proxy's to look up", async () => {
    const proxy = keep(await startForwardProxy(inner.host));
    const environment = { HTTP_PROXY: proxy.url };
    for (const host of ["10.42.7.9", "storage.example.com"]) {
      registry.intercept = () => ({ status: 307, headers: { location: `http://${host}/x` } });
      const repository = await open({ refuse: ["10.42.0.0/16"] }, { environment });
      const reading = readAll(repository);
      if (host === "10.42.7.9") expect((await refusal(reading)).message).toContain(host);
      else expect(await reading).toEqual(content);
    }
    expect(proxy.seen.every((line) => line.includes("storage.example.com"))).toBe(true);
  });
});

describe("a name that means another address the next time", () => {
  const guard = { allow: ["127.0.0.2"] };
  /** First the address that is allowed, then one that is not. */
  const rebinding = () => {
    const answers = ["127.0.0.2", "127.0.0.3"];
    const asked: string[] = [];
    const lookup: LookupFunction = (host, _, callback) => {
      asked.push(host);
      const address = answers.shift();
      callback(null, address === undefined ? [] : [{ address, family: 4 }]);
    };
    return { lookup, asked };
  };
  let storage: RawRangeServer;
  let url: URL;

  beforeEach(async () => {
    // At both addresses, so that only the guard keeps anybody away from the second.
    storage = keep(await startRawRangeServer({ content, address: "0.0.0.0" }));
    storage.otherwise = partial({ close: true });
    url = new URL(`http://storage.example.com:${new URL(storage.url).port}/x`);
  });

  test("is not connected to by requests", async () => {
    const { lookup, asked } = rebinding();
    const common = { environment: {}, connections: 1, userAgent: "test", registry: "r.example" };
    const wire = keep(await openWire({ ...common, ...timeouts, guard, lookup }));
    const request = { method: "GET", url, what: "a blob" } as const;
    const answer = await wire.send("redirected", request);
    expect(await answer.body.toArray()).toEqual([content]);
    const failure = await refusal(wire.send("redirected", request));
    expect(failure.message).toContain("storage.example.com");
    expect(failure.message).not.toContain("127.0.0.3");
    expect([storage.connections, asked.length]).toEqual([1, 2]);
  });

  test("is not connected to by the sockets of disk threads", async () => {
    const { lookup, asked } = rebinding();
    const terms = { url, secureContext: undefined, bufferBytes: 131_072, guard, lookup };
    const get = async () => {
      const pieces: Buffer[] = [];
      const connection = openConnection({ ...terms, ...timeouts });
      const range = { offset: 0, length: content.byteLength };
      const onBytes = (bytes: Uint8Array) => void pieces.push(Buffer.from(bytes));
      const answered = await connection.get({ url, range, headers: {}, onBytes });
      connection.destroy();
      return answered ? Buffer.concat(pieces) : undefined;
    };
    expect(await get()).toEqual(content);
    expect(await get()).toBeUndefined();
    expect([storage.connections, asked.length]).toEqual([1, 2]);
  });
});

test.each([true, false])(
  "a pull whose layer is in a place that its guard refuses (sockets: %s) fetches nothing there",
  async (sockets) => {
    await using folder = await makeTemporaryFolder();
    await writeTree(`${folder.path}/model`, { "model.bin": seededBytes("model", 3_000_000) });
    const plain = keep(await startFaultRegistry());
    const reference = `${plain.host}/team/model:v1`;
    await push({ source: `${folder.path}/model`, reference });
    const layer = [...plain.blobs].find(([, bytes]) => bytes.byteLength >= 3_000_000)?.[0] ?? "";
    plain.intercept = ({ url }) =>
      url.endsWith(layer)
        ? { status: 307, headers: { location: `${inner.url}/x?sig=secret` } }
        : undefined;
    const options = { reference, guard: {}, transfer: { sockets } };
    const failure = await refusal(pull({ ...options, output: `${folder.path}/out` }));
    expect(failure.message).toContain(inner.host);
    expect(inner.connections).toBe(0);
    plain.intercept = undefined;
    await pull({ ...options, output: `${folder.path}/out` });
  },
);

test.each(["10.0.0.0/99", "https://storage.example.com"])(
  "a guard with %s in it opens nothing",
  async (entry) => {
    await expect(open({ allow: [entry] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  },
);

test("a guarded redirect that is followed is followed as ever", async () => {
  registry.tokens.add("given");
  registry.intercept = () => ({ status: 307, headers: { location: `${inner.url}/a` } });
  inner.otherwise = (reply, request) =>
    (request.target === "/a" ? redirect("/b") : partial())(reply, request);
  const repository = await open({ allow: ["127.0.0.2"] });
  expect(await readAll(repository)).toEqual(content);
  expect(inner.requests.every(({ headers }) => !headers.has("authorization"))).toBe(true);
});
