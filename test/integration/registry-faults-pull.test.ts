import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { isModelError, type ModelError } from "../../src/core/errors.ts";
import { openRegistryRepository } from "../../src/registry/client/registry-repository.ts";
import type { Store } from "../../src/store/store.ts";
import {
  chunkBytes,
  chunkCount,
  type FaultScene,
  pick,
  serverTrouble,
  stageFaults,
  storm,
  trouble,
} from "../support/fault-scene.ts";
import {
  type BlobFault,
  type FaultRegistry,
  startFaultRegistry,
} from "../support/registry-faults.ts";
import { makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel, pullModel } from "../support/store-models.ts";
import { readTree, seededBytes } from "../support/workplace.ts";

let scene: FaultScene;
let registry: FaultRegistry;
const stage = stageFaults((opened) => {
  scene = opened;
  ({ registry } = opened);
  opened.publish();
});

async function failure(): Promise<ModelError> {
  const error = await scene.pull().catch((reason: unknown) => reason);
  if (isModelError(error)) return error;
  throw new Error("it should have failed", { cause: error });
}

/** Requests for ranges of the layer so far. */
const ranges = () => registry.seen.filter(({ headers }) => headers.range !== undefined).length;
/** The most that are needed: manifest twice, index, and each chunk once. */
const leastRequests = chunkCount + 3;
const past = "Thu, 01 Jan 2026 00:00:00 GMT";

describe("a pull from a registry", () => {
  test.each<[string, BlobFault]>([
    ["breaks off before the first byte", { resetAfter: 0 }],
    ["breaks off in the middle", { resetAfter: 50_000 }],
    ["breaks off before the last byte", { resetAfter: chunkBytes - 1 }],
    ["sends less than it says", { shortBy: 30_000 }],
    ["sends all of the layer for a range", { ignoreRange: true }],
    ["sends wrong bytes", { replace: (bytes) => Buffer.alloc(bytes.byteLength, 1) }],
    ["sends another blob's bytes", { replace: (bytes) => seededBytes("other", bytes.byteLength) }],
  ])("that %s now and then is right in the end", async (_, fault) => {
    const rare = { leastBytes: chunkBytes };
    registry.blobFaults.push({ ...fault, ...rare }, rare, rare, rare, { ...fault, ...rare });
    await scene.expectModel(await scene.pull());
    expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + 8);
  });

  test.each<[string, BlobFault]>([
    ["wrong bytes", { replace: (bytes) => Buffer.alloc(bytes.byteLength, 1) }],
    ["another blob's bytes", { replace: (bytes) => seededBytes("other", bytes.byteLength) }],
  ])("that always sends %s is DIGEST_MISMATCH, and what was right stays", async (_, fault) => {
    const good = Array.from({ length: 8 }, () => ({ leastBytes: chunkBytes }));
    const bad = Array.from({ length: 100 }, () => ({ ...fault, leastBytes: chunkBytes }));
    registry.blobFaults.push(...good, ...bad);
    const error = await failure();
    expect(error).toMatchObject({
      code: "DIGEST_MISMATCH",
      message: expect.stringMatching(/127\.0\.0\.1.*layer sha256:[0-9a-f]{64}/) as string,
    });
    await scene.expectNothingVisible();
    expect(ranges()).toBeLessThanOrEqual(10 + 3 * chunkCount);
    registry.blobFaults.length = 0;
    const pulled = await scene.pull();
    await scene.expectModel(pulled);
    expect(pulled.bytes.reused).toBeGreaterThanOrEqual(8 * chunkBytes);
  });

  test("that sends the bytes of another index is DIGEST_MISMATCH", async () => {
    registry.blobFaults.push({ replace: (bytes) => Buffer.alloc(bytes.byteLength, "{") });
    expect((await failure()).code).toBe("DIGEST_MISMATCH");
    await scene.expectNothingVisible();
    await scene.expectModel(await scene.pull());
  });

  test.each([
    ["429", 429, "0"],
    ["429 until a date", 429, past],
    ["503", 503, "0"],
    ["503 until a date", 503, past],
  ])("that answers everything with %s once is right in the end", async (_, status, until) => {
    const refused = storm(
      registry,
      () => 1,
      () => trouble(status, until),
    );
    await scene.expectModel(await scene.pull());
    expect(refused.answered).toBeGreaterThanOrEqual(leastRequests);
    expect(registry.seen.length).toBeLessThanOrEqual(2 * refused.answered + 2);
  });

  test.each([429, 503])(
    "that answers %d without saying for how long is waited for",
    async (status) => {
      registry.answers.push({ on: /^GET .*manifests/, status });
      await scene.expectModel(await scene.pull());
      expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + 2);
    },
  );

  test("in a storm of 5xx is right in the end", async () => {
    const refused = storm(registry, (line) => pick(line, 4), serverTrouble);
    await scene.expectModel(await scene.pull());
    expect(refused.answered).toBeGreaterThanOrEqual(30);
    expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + refused.answered + 4);
  });

  test.each([
    [/./, 429, "RATE_LIMITED", 5],
    [/./, 500, "REGISTRY_UNAVAILABLE", 5],
    [/bytes=/, 503, "REGISTRY_UNAVAILABLE", 60],
  ])("in a storm on %s that never ends (%d) is %s", async (on, status, code, most) => {
    const refused = storm(
      registry,
      (line) => (on.test(line) ? 1000 : 0),
      () => trouble(status),
    );
    expect(await failure()).toMatchObject({ code, retryable: true });
    expect(refused.answered).toBeLessThanOrEqual(most);
    await scene.expectNothingVisible();
    registry.intercept = undefined;
    await scene.expectModel(await scene.pull());
  });
});

describe("a pull with a token that stops working", () => {
  beforeEach(() => stage.reopen({ auth: "bearer" }));

  /** Lets every token end after `count` ranges, again and again. */
  const expireEvery = (count: number) => {
    let served = 0;
    registry.intercept = ({ headers }) => {
      if (headers.range !== undefined && (served += 1) % count === 0) registry.tokens.clear();
      return undefined;
    };
  };

  test("in the middle, again and again, gets new ones", async () => {
    expireEvery(10);
    await scene.expectModel(await scene.pull());
    expect(registry.lines(/token/).length).toBeGreaterThanOrEqual(2);
    expect(registry.seen.length).toBeLessThanOrEqual(3 * leastRequests);
  });

  test("after a few ranges, under many more at once, gets new ones", async () => {
    let served = 0;
    registry.intercept = ({ headers: { range, authorization = "" } }) => {
      const isGood = registry.tokens.has(authorization.replace("Bearer ", ""));
      if (range !== undefined && isGood && (served += 1) % 5 === 0) registry.tokens.clear();
      return undefined;
    };
    const transfer = { connections: 16, rangeBytes: chunkBytes, threads: 1 };
    await scene.expectModel(await scene.pull({ transfer }));
    expect(registry.lines(/token/).length).toBeGreaterThanOrEqual(6);
    expect(registry.seen.length).toBeLessThanOrEqual(10 * leastRequests);
  });

  test("in the middle, and gets no other, is UNAUTHORIZED, and goes on later", async () => {
    registry.intercept = () => {
      if (ranges() < 10) return undefined;
      registry.login = "somebody:else";
      registry.tokens.clear();
      return undefined;
    };
    expect(await failure()).toMatchObject({ code: "UNAUTHORIZED", retryable: false });
    await scene.expectNothingVisible();
    registry.intercept = undefined;
    registry.login = undefined;
    const pulled = await scene.pull();
    await scene.expectModel(pulled);
    expect(pulled.bytes.reused).toBeGreaterThanOrEqual(4 * chunkBytes);
  });
});

describe("a pull by way of signed URLs", () => {
  let storage: FaultRegistry;
  let signed: number;

  beforeEach(async () => {
    signed = 0;
    storage = await startFaultRegistry();
    for (const bytes of registry.blobs.values()) storage.addBlob(bytes);
    registry.redirectBlobs = (digest) =>
      `${storage.url}/storage/${digest}?sig=presigned&n=${(signed += 1)}`;
  });
  afterEach(() => storage[Symbol.asyncDispose]());

  const expired = { status: 403, body: "<Error><Code>AccessDenied</Code></Error>" };

  test("that expire in the middle asks for new ones, and seldom", async () => {
    const uses = new Map<string, number>();
    storage.intercept = ({ url }) => {
      const used = (uses.get(url) ?? 0) + 1;
      uses.set(url, used);
      return used > 8 ? expired : undefined;
    };
    await scene.expectModel(await scene.pull());
    expect(signed).toBeGreaterThanOrEqual(3);
    expect(registry.seen.length).toBeLessThanOrEqual(2 + 2 * Math.ceil(chunkCount / 8) + 4);
    expect(storage.seen.length).toBeLessThanOrEqual(2 * leastRequests);
  });

  test("that never work is FORBIDDEN without the signature, and goes on later", async () => {
    const index = storage.blobs.size;
    storage.intercept = () => (storage.seen.length > index + 6 ? expired : undefined);
    const error = await failure();
    expect(error.code).toBe("FORBIDDEN");
    expect(`${error.message} ${error.hint}`).not.toContain("presigned");
    expect(storage.seen.length).toBeLessThanOrEqual(40);
    await scene.expectNothingVisible();
    storage.intercept = undefined;
    await scene.expectModel(await scene.pull());
  });
});

describe("a pull from a registry that falls silent in the middle of a range", () => {
  const files = { "a.bin": bytesOf("a", 2_500_000), "b.bin": bytesOf("b", 500_000) };
  const testModel = makeModel(files, { chunkBytes: 100_000, layerBytes: 4_000_000 });

  const leastBytes = 3_000_000;
  /** Where the ranges began that the layer was asked for; one byte asks where it lies. */
  const starts = () =>
    registry.seen.flatMap(({ headers }) => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
      return first === undefined || first === last ? [] : [Number(first)];
    });

  /** Pulls it with a repository that waits for 200 ms only. */
  async function pullWith(attempts: number): Promise<void> {
    for (const layer of testModel.layers.values()) registry.addBlob(layer);
    await using repository = await openRegistryRepository({
      host: registry.host,
      repository: "team/model",
      retry: { attempts, baseDelayMs: 1 },
      timeouts: { headersMs: 200, bodyMs: 200 },
    });
    const source = { ...repository, served: { bytes: 0, requests: 0 } };
    const pulled = await pullModel(store, testModel, { source, connections: 2 });
    expect(await readTree(pulled.tree)).toEqual({
      "a.bin": digestOf(files["a.bin"]),
      "b.bin": digestOf(files["b.bin"]),
    });
  }

  let store: Store;
  beforeEach(async () => {
    store = await makeStore();
  });
  afterEach(() => store[Symbol.asyncDispose]());

  test("asks for the rest of it", async () => {
    registry.blobFaults.push({ stallAfter: 2_700_000, leastBytes });
    await pullWith(3);
    const [first, second = 0, ...more] = starts();
    expect(first).toBe(0);
    expect(second).toBeGreaterThanOrEqual(1_000_000);
    expect(more.length).toBeLessThanOrEqual(1);
  });

  test("and never says anything again, gives up, and keeps what came", async () => {
    const silent = Array.from({ length: 20 }, () => ({ stallAfter: 0, leastBytes: 100 }));
    registry.blobFaults.push({ stallAfter: 2_700_000, leastBytes }, ...silent);
    await expect(pullWith(2)).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining("stalled") as string,
    });
    expect(starts().length).toBeLessThanOrEqual(5);
    registry.blobFaults.length = 0;
    registry.seen.length = 0;
    await pullWith(2);
    expect(starts()[0]).toBeGreaterThanOrEqual(1_000_000);
  });
});
