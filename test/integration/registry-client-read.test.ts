import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseDigest } from "../../src/core/digest.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import {
  type BlobFault,
  type FaultRegistry,
  sha256,
  startFaultRegistry,
} from "../support/registry-faults.ts";

const content = randomBytes(300_000);
const digest = parseDigest(sha256(content));
const range = { offset: 1000, length: 200_000 };
const part = content.subarray(1000, 201_000);

let registry: FaultRegistry;
let repository: RegistryRepository;

beforeEach(async () => {
  registry = await startFaultRegistry();
  registry.addBlob(content);
  repository = await open();
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

function open(options: Partial<RegistryRepositoryOptions> = {}): Promise<RegistryRepository> {
  const retry = { attempts: 3, baseDelayMs: 1 };
  return openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry,
    ...options,
  });
}

async function read(options?: Parameters<RegistryRepository["readBlob"]>[1]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of repository.readBlob(digest, options)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const ranges = () => registry.seen.map(({ headers }) => headers.range);

describe("reading a blob", () => {
  test("whole, or a range of it", async () => {
    expect(await read()).toEqual(content);
    expect(await read({ range })).toEqual(part);
    expect(await read({ range: { offset: 299_999, length: 1 } })).toEqual(content.subarray(-1));
    expect(ranges()).toEqual([undefined, "bytes=1000-200999", "bytes=299999-299999"]);
    expect(registry.seen.every(({ headers }) => headers["accept-encoding"] === "identity")).toBe(
      true,
    );
    expect(repository.requests).toEqual({ registry: 3, token: 0, redirected: 0 });
  });

  test("an empty range asks nobody", async () => {
    expect(await read({ range: { offset: 5, length: 0 } })).toHaveLength(0);
    expect(registry.seen).toHaveLength(0);
  });

  test("uses one connection for one range after the other", async () => {
    repository = await open({ connections: 1 });
    for (let offset = 0; offset < 300_000; offset += 60_000)
      expect(await read({ range: { offset, length: 60_000 } })).toHaveLength(60_000);
    expect(registry.connections()).toBe(1);
  });

  test("of which there is none is NOT_FOUND", async () => {
    registry.blobs.clear();
    await expect(read()).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: expect.stringContaining("private"),
    });
  });

  test("beyond its end is refused", async () => {
    const reading = read({ range: { offset: 299_999, length: 2 } });
    await expect(reading).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
  });

  test("stops when its reader does, and the next one works", async () => {
    for await (const piece of repository.readBlob(digest)) {
      expect(piece.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(await read({ range })).toEqual(part);
  });

  test("rejects with the caller's reason when aborted half-way", async () => {
    registry.blobFaults.push({ stallAfter: 1000 });
    const controller = new AbortController();
    const reason = new Error("enough");
    const reading = async () => {
      for await (const piece of repository.readBlob(digest, { signal: controller.signal }))
        if (piece.byteLength > 0) controller.abort(reason);
    };
    await expect(reading()).rejects.toBe(reason);
  });
});

describe("what goes wrong half-way is resumed", () => {
  test.each<[string, BlobFault]>([
    ["a reset", { resetAfter: 50_000 }],
    ["a body shorter than the range", { shortBy: 50_000 }],
    ["a stall", { stallAfter: 50_000 }],
  ])("%s", async (_, fault) => {
    repository = await open({ timeouts: { bodyMs: 200 } });
    registry.blobFaults.push(fault);
    expect(await read({ range })).toEqual(part);
    expect(ranges()).toEqual(["bytes=1000-200999", expect.stringMatching(/^bytes=\d+-200999$/)]);
    expect(ranges()[1]).not.toBe(ranges()[0]);
  });

  test("of a whole blob too", async () => {
    registry.blobFaults.push({ resetAfter: 100_000 }, { resetAfter: 100_000 });
    expect(await read()).toEqual(content);
    expect(ranges().slice(1)).toEqual([
      expect.stringMatching(/-299999$/),
      expect.stringMatching(/-299999$/),
    ]);
  });

  test("as often as it gets on, however few the attempts", async () => {
    registry.blobFaults.push(...Array.from({ length: 10 }, () => ({ resetAfter: 15_000 })));
    expect(await read({ range })).toEqual(part);
  });

  test("but not for ever when it does not get on", async () => {
    registry.blobFaults.push(...Array.from({ length: 10 }, () => ({ resetAfter: 0 })));
    await expect(read({ range })).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining(registry.host),
    });
    expect(registry.seen).toHaveLength(3);
  });

  test("with a server that ignores ranges, which is read from its start", async () => {
    registry.blobFaults.push({ ignoreRange: true, resetAfter: 100_000 }, { ignoreRange: true });
    expect(await read({ range })).toEqual(part);
  });
});

describe("an answer that is not what was asked for is refused", () => {
  test.each<[string, BlobFault]>([
    ["another start", { contentRange: "bytes 0-199999/300000" }],
    ["another end", { contentRange: "bytes 1000-200998/300000" }],
    ["no range at all", { contentRange: "nonsense" }],
    ["an encoded body", { contentEncoding: "gzip" }],
    ["an encoded whole", { contentEncoding: "gzip", ignoreRange: true }],
    ["a whole that is too short", { ignoreRange: true, shortBy: 200_000 }],
  ])("%s", async (_, fault) => {
    registry.blobFaults.push(fault);
    await expect(read({ range })).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
    expect(registry.seen).toHaveLength(1);
  });
});

describe("redirects", () => {
  let storage: FaultRegistry;
  let secured: FaultRegistry;

  beforeEach(async () => {
    storage = await startFaultRegistry();
    storage.addBlob(content);
    secured = registry;
    registry = await startFaultRegistry({ auth: "basic" });
    registry.login = "user:secret";
    registry.redirectBlobs = (blob) => `${storage.url}/storage/${blob}?sig=presigned`;
    const credential = {
      kind: "password",
      username: "user",
      password: "secret",
      origin: "",
    } as const;
    repository = await open({ credentials: { get: async () => credential } });
  });
  afterEach(async () => {
    await storage[Symbol.asyncDispose]();
    await secured[Symbol.asyncDispose]();
  });

  test("across origins lose Authorization and keep Range", async () => {
    expect(await read({ range })).toEqual(part);
    expect(registry.seen.at(-1)?.headers.authorization).toMatch(/^Basic /);
    const [atStorage] = storage.seen;
    expect(atStorage?.headers.authorization).toBeUndefined();
    expect(atStorage?.headers.range).toBe("bytes=1000-200999");
  });

  test("are resolved once for all ranges of a blob", async () => {
    for (const offset of [0, 1000, 2000, 3000])
      expect(await read({ range: { offset, length: 10 } })).toEqual(
        content.subarray(offset, offset + 10),
      );
    expect(repository.requests).toEqual({ registry: 2, token: 0, redirected: 4 });
  });

  const offsets = Array.from({ length: 12 }, (_, at) => at * 1000);
  const readAll = () =>
    Promise.all(offsets.map((offset) => read({ range: { offset, length: 10 } })));

  test("are resolved once for ranges that are read at the same time", async () => {
    await readAll();
    // One to learn what the registry asks for, one with credentials.
    expect(repository.requests).toEqual({ registry: 2, token: 0, redirected: 12 });
  });

  test("are resolved once more when they expire under many ranges at once", async () => {
    await readAll();
    for (const _ of offsets) storage.answers.push({ on: /^GET/, status: 403 });
    await readAll();
    expect(repository.requests.registry).toBe(3);
  });

  test("are told to those who read by themselves, without being followed", async () => {
    const [first, second] = await Promise.all([
      repository.locateBlob(digest),
      repository.locateBlob(digest),
    ]);
    expect(first?.url.href).toBe(`${storage.url}/storage/${digest}?sig=presigned`);
    expect(first?.headers).not.toHaveProperty("authorization");
    expect(second).toEqual(first);
    expect(storage.seen).toEqual([]);
    expect(repository.requests).toEqual({ registry: 2, token: 0, redirected: 2 });
  });

  test("are not waited for at a registry that serves blobs itself", async () => {
    registry.redirectBlobs = undefined;
    registry.addBlob(content);
    const location = await repository.locateBlob(digest);
    expect(location?.url.origin).toBe(registry.url);
    expect(location?.headers["authorization"]).toMatch(/^Basic /);
    await repository.locateBlob(parseDigest(sha256(Buffer.from("another"))));
    expect(registry.lines(/^GET/)).toHaveLength(2);
  });

  test.each([400, 401, 403, 404, 410])(
    "are resolved again when the storage answers %d",
    async (status) => {
      await read({ range });
      storage.answers.push({ on: /^GET/, status });
      expect(await read({ range })).toEqual(part);
      expect(registry.lines(/^GET/)).toHaveLength(3);
    },
  );

  test("are resolved again after a break", async () => {
    storage.blobFaults.push({ resetAfter: 50_000 });
    expect(await read({ range })).toEqual(part);
    expect(storage.seen.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
    ]);
  });

  test("that storage refuses even when new are an error without the signature", async () => {
    storage.answers.push({ on: /^GET/, status: 403, body: "sig=presigned" });
    const reading = read({ range });
    await expect(reading).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(reading).rejects.not.toThrow("presigned");
  });

  test("that storage answers 503 to are tried again", async () => {
    storage.answers.push({ on: /^GET/, status: 503, headers: { "retry-after": "0" } });
    expect(await read({ range })).toEqual(part);
  });

  test("without end are refused", async () => {
    registry.redirectBlobs = (blob) => `${registry.url}/v2/team/model/blobs/${blob}`;
    await expect(read()).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
    expect(registry.lines(/^GET/).length).toBeLessThan(10);
  });

  test.each(["", "ftp://127.0.0.1/x", "http://[bad"])("to %j are refused", async (target) => {
    registry.redirectBlobs = () => target;
    await expect(read()).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
  });

  test("back from storage to the registry carry no credentials", async () => {
    storage.answers.push({
      on: /^GET/,
      status: 302,
      headers: { location: `${registry.url}/v2/team/model/blobs/${digest}` },
    });
    await expect(read()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(registry.seen.at(-1)?.headers.authorization).toBeUndefined();
  });

  test.each([301, 302, 303, 307, 308])("with status %d are followed", async (status) => {
    registry.redirectBlobs = undefined;
    const location = `${storage.url}/storage/${digest}`;
    await read().catch(() => undefined);
    registry.answers.push({ on: /^GET/, status, headers: { location } });
    expect(await read({ range })).toEqual(part);
  });
});

describe("the size of a blob", () => {
  test("comes from HEAD", async () => {
    expect(await repository.statBlob(digest)).toBe(300_000);
    expect(registry.lines()).toEqual([`HEAD /v2/team/model/blobs/${digest}`]);
  });

  test("is undefined when there is no blob", async () => {
    registry.blobs.clear();
    expect(await repository.statBlob(digest)).toBeUndefined();
  });

  test.each([{ status: 200 }, { status: 405 }])(
    "comes from a GET of one byte when HEAD answers %j without it",
    async (answer) => {
      registry.answers.push({ on: /^HEAD/, ...answer });
      expect(await repository.statBlob(digest)).toBe(300_000);
      expect(registry.seen.at(-1)?.headers.range).toBe("bytes=0-0");
    },
  );

  test("is found when storage takes no HEAD, and when it ignores ranges", async () => {
    registry.redirectBlobs = (blob) =>
      `${registry.url.replace("127.0.0.1", "localhost")}/storage/${blob}`;
    registry.answers.push({ on: /^HEAD \/storage/, status: 403 });
    registry.blobFaults.push({ ignoreRange: true });
    expect(await repository.statBlob(digest)).toBe(300_000);
  });

  test("of an empty blob is 0", async () => {
    const empty = parseDigest(registry.addBlob(Buffer.alloc(0)));
    registry.answers.push({ on: /^HEAD/, status: 200 });
    expect(await repository.statBlob(empty)).toBe(0);
  });
});

describe("a moment of trouble", () => {
  test.each([408, 429, 500, 502, 503, 504])("with %d is waited out", async (status) => {
    // With its own waits of an hour, only the Retry-After lets the test end.
    repository = await open({ retry: { baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 } });
    const answer = { on: /./, status, headers: { "retry-after": "0" } };
    registry.answers.push(answer, answer);
    expect(await repository.statBlob(digest)).toBe(300_000);
    expect(registry.seen).toHaveLength(3);
  });

  test.each([
    [503, "REGISTRY_UNAVAILABLE"],
    [429, "RATE_LIMITED"],
  ])("that lasts ends as %d %s", async (status, code) => {
    registry.answers.push(...Array.from({ length: 5 }, () => ({ on: /./, status })));
    await expect(repository.statBlob(digest)).rejects.toMatchObject({ code, retryable: true });
    expect(registry.seen).toHaveLength(3);
  });

  test.each([400, 403, 405, 409, 418])("is not what %d means", async (status) => {
    registry.answers.push({ on: /./, status });
    await expect(read()).rejects.toMatchObject({ retryable: false });
    expect(registry.seen).toHaveLength(1);
  });

  test("with a reset before the answer is waited out", async () => {
    registry.answers.push({ on: /./, reset: true });
    expect(await read({ range })).toEqual(part);
  });

  test("is left at once when aborted", async () => {
    registry.answers.push({ on: /./, status: 503, headers: { "retry-after": "3600" } });
    const controller = new AbortController();
    const asking = repository.statBlob(digest, { signal: controller.signal });
    while (registry.seen.length === 0) await new Promise(setImmediate);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(asking).rejects.toBe(reason);
  });
});
