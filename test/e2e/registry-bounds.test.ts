import { truncate } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { pull } from "../../src/model/pull.ts";
import { type PushOptions, push } from "../../src/model/push.ts";
import { emptyConfig, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import {
  openRegistryRepository,
  type RegistryRepositoryOptions,
} from "../../src/registry/client/registry-repository.ts";
import type { Fact, RegistryProfile } from "../../src/registry/profiles.ts";
import { type RegistryOptions, startRegistry } from "../../src/registry/server/server.ts";
import { putBytes } from "../conformance/repository-suite.ts";
import { makeSafetensors, makeTemporaryFolder, writeTree } from "../support/models.ts";
import { startFaultRegistry } from "../support/registry-faults.ts";
import { mebi, readTree, seededBytes } from "../support/workplace.ts";

const cleanups = { stack: new AsyncDisposableStack() };
let folder: string;
let requests: string[];

beforeEach(async () => {
  folder = cleanups.stack.use(await makeTemporaryFolder()).path;
  requests = [];
});
afterEach(async () => {
  await cleanups.stack[Symbol.asyncDispose]();
  cleanups.stack = new AsyncDisposableStack();
});

async function start(options: Omit<RegistryOptions, "root">): Promise<string> {
  const onRequest: RegistryOptions["onRequest"] = ({ method, path, status }) =>
    void requests.push(`${method} ${path} ${status}`);
  const limits = { closeGraceMs: 100, ...options.limits };
  const root = `${folder}/registry`;
  const server = await startRegistry({ ...options, limits, root, onRequest });
  return cleanups.stack.use(server).address;
}

const open = async (host: string, options: Partial<RegistryRepositoryOptions> = {}) =>
  cleanups.stack.use(
    await openRegistryRepository({
      host,
      repository: "team/model",
      writes: true,
      retry: { baseDelayMs: 1 },
      ...options,
    }),
  );

const fact = <T>(value: T): Fact<T> => ({ value, source: "its manual", date: "2026-11-22" });
const profile = (facts: Partial<RegistryProfile>): RegistryProfile => ({
  name: "small",
  title: "a small registry",
  hosts: [],
  ...facts,
});

/** A model of so many tensors of 1 MiB. */
async function writeModel(tensors: number): Promise<string> {
  const weights = makeSafetensors(
    Array.from({ length: tensors }, (_, at) => ({
      name: `layers.${at}`,
      dtype: "U8",
      shape: [mebi],
      bytes: seededBytes(`tensor ${at}`, mebi),
    })),
  );
  await writeTree(`${folder}/model`, { "model.safetensors": weights, "config.json": "{}" });
  return `${folder}/model`;
}

const pushModel = async (host: string, tensors: number, options: Partial<PushOptions> = {}) =>
  push({ source: await writeModel(tensors), reference: `${host}/team/model:v1`, ...options });

/** Pulls what `pushModel` pushed, and compares every file. */
async function pullBack(host: string): Promise<void> {
  const output = `${folder}/output`;
  await pull({ reference: `${host}/team/model:v1`, store: `${folder}/store`, output });
  expect(await readTree(output)).toEqual(await readTree(`${folder}/model`));
}

const writes = () => requests.filter((line) => !/^(?:GET|HEAD) /.test(line));

describe("a registry that takes small blobs and few layers", () => {
  const limits = { maxLayers: 5, maxBlobBytes: 32 * mebi };
  const registryProfile = profile({
    maxLayers: fact(limits.maxLayers),
    maxBlobBytes: fact(limits.maxBlobBytes),
  });

  test("gets layers that it takes, and the push says so", async () => {
    const host = await start({ limits });
    const { layers, bounds } = await pushModel(host, 50, { registryProfile });
    expect(layers.total).toBeGreaterThan(1);
    expect(bounds).toEqual([
      "layers of at most 33554432 bytes, because of profile small: at most 5 layers, blobs of at most 33554432 bytes",
    ]);
    await pullBack(host);
  });

  test("is sent nothing of a model that cannot fit", async () => {
    const host = await start({ limits });
    await writeTree(`${folder}/model`, { "weights.bin": "" });
    await truncate(`${folder}/model/weights.bin`, 180 * mebi);
    const reference = `${host}/team/model:v1`;
    const pushing = push({ source: `${folder}/model`, reference, registryProfile });
    await expect(pushing).rejects.toMatchObject({
      code: "REGISTRY_LIMIT",
      message: expect.stringMatching(
        /the model needs at least 7 layers of 33554432 bytes; 127\.0\.0\.1:\d+\/team\/model takes 5 \(profile small: at most 5 layers/,
      ) as unknown,
    });
    expect(writes()).toEqual([]);
  });

  test("is sent nothing of a model with annotations that are too long for its manifests", async () => {
    const host = await start({});
    const annotations = { long: "x".repeat(10_000) };
    const small = profile({ maxManifestBytes: fact(8192) });
    const pushing = pushModel(host, 1, { registryProfile: small, annotations });
    await expect(pushing).rejects.toMatchObject({
      code: "REGISTRY_LIMIT",
      message: expect.stringContaining(
        "manifests of at most 8192 bytes (profile small)",
      ) as unknown,
    });
    expect(writes()).toEqual([]);
  });

  test("refuses by itself, where its profile is not known", async () => {
    const host = await start({ limits: { maxBlobBytes: mebi } });
    await expect(pushModel(host, 3)).rejects.toMatchObject({ code: "REGISTRY_LIMIT" });
  });
});

test("a model of 400 layers goes where 500 are taken, and one of 501 does not", async () => {
  const host = await start({ limits: { maxLayers: 500 } });
  const repository = await open(host);
  await putBytes(repository, Buffer.from("{}"));
  const digest = await putBytes(repository, Buffer.from("layer"));
  const manifestOf = (count: number) => {
    const layers = Array.from({ length: count }, () => ({
      mediaType: mediaTypes.layer,
      digest,
      size: 5,
    }));
    const bytes = serializeManifest({ config: emptyConfig, layers });
    return { mediaType: mediaTypes.imageManifest, bytes };
  };
  await repository.putManifest("v400", manifestOf(400));
  await expect(repository.putManifest("v501", manifestOf(501))).rejects.toHaveProperty("code");
  expect(await repository.listTags()).toEqual(["v400"]);
});

test("a registry that takes chunks of 4 MiB at most gets each blob in one request", async () => {
  const host = await start({ limits: { maxChunkBytes: 4 * mebi } });
  await pushModel(host, 12);
  await pullBack(host);
  expect(requests.filter((line) => line.endsWith(" 416"))).toEqual([]);
});

describe("a registry with a quota", () => {
  test("is written to no faster than its profile says, by all who write, and they say so", async () => {
    const host = await start({});
    const paced: string[] = [];
    const options = {
      profile: profile({ writesPerMinute: fact(4) }),
      paceWindowMs: 1200,
      onPaced: (reason: string) => void paced.push(reason),
    };
    const [one, other] = [await open(host, options), await open(host, options)];
    const begunMs = performance.now();
    const blobs = Array.from({ length: 12 }, (_, at) => Buffer.from(`blob ${at}`));
    await Promise.all(blobs.map((bytes, at) => putBytes(at % 2 === 0 ? one : other, bytes)));
    // Twelve are three windows' worth: the last four began two windows after the first four.
    expect(performance.now() - begunMs).toBeGreaterThanOrEqual(2400);
    const reason = `paced to 4 writes a minute for ${host} (profile small: its manual, 2026-11-22)`;
    expect(paced).toEqual([reason, reason]);
    expect(one.pace.reasons).toEqual([reason]);
    expect(one.pace.waitedMs).toBeGreaterThan(1000);
  });

  test("that is used up answers 429, and gets what it missed later", async () => {
    const host = await start({ limits: { requestsPerSecond: { perAddress: 10 } } });
    const repository = await open(host, { connections: 2 });
    const lane = async () => {
      for (let at = 0; at < 15; at += 1) await repository.statBlob(digestOf(`blob ${at}`));
    };
    await Promise.all([lane(), lane()]);
    expect(requests.filter((line) => line.endsWith(" 429")).length).toBeGreaterThan(0);
    expect(requests.filter((line) => line.endsWith(" 404"))).toHaveLength(30);
  });

  test("holds everybody back with one 429 until it says", async () => {
    const registry = cleanups.stack.use(await startFaultRegistry());
    const arrivals: number[] = [];
    registry.intercept = () => {
      arrivals.push(performance.now());
      return arrivals.length === 1 ? { status: 429, headers: { "retry-after": "2" } } : undefined;
    };
    const impatient = await open(registry.host, { retry: { attempts: 1 } });
    await expect(impatient.statBlob(digestOf("one"))).rejects.toMatchObject({
      code: "RATE_LIMITED",
    });
    const other = await open(registry.host);
    await Promise.all([other.statBlob(digestOf("two")), other.listTags()]);
    const [first = 0, ...rest] = arrivals;
    expect(rest).toHaveLength(2);
    for (const at of rest) expect(at - first).toBeGreaterThanOrEqual(1950);
    expect(other.pace.reasons).toEqual([`${registry.host} asks for fewer requests: waiting 2 s`]);
  });
});

describe("a registry that offers less", () => {
  test("no ranges: a pull reads whole blobs, and verifies them", async () => {
    const host = await start({ offers: { ranges: false } });
    await pushModel(host, 8);
    await pullBack(host);
    expect(requests.filter((line) => line.endsWith(" 206"))).toEqual([]);
  });

  test("no deletes: REGISTRY_UNSUPPORTED with a hint, and all stays", async () => {
    const host = await start({ offers: { deletes: false } });
    const { digest } = await pushModel(host, 1);
    const repository = await open(host);
    for (const removing of [repository.deleteTag("v1"), repository.deleteManifest(digest)])
      await expect(removing).rejects.toMatchObject({
        code: "REGISTRY_UNSUPPORTED",
        hint: expect.stringContaining("switched off") as unknown,
      });
    await pullBack(host);
  });

  test("neither ranges, chunks, mounts, referrers nor deletes: a model goes in and out", async () => {
    const nothing = { ranges: false, chunked: false, mounts: false, referrers: false };
    const host = await start({ offers: { ...nothing, deletes: false } });
    const { layers } = await pushModel(host, 8);
    await pullBack(host);
    expect(layers.moved).toBe(layers.total);
  });

  test("blobs at signed URLs that expire: each is asked for again", async () => {
    const host = await start({ redirectBlobs: { lifeMs: 500, host: "localhost" } });
    await pushModel(host, 8);
    const repository = await open(host);
    const bytes = seededBytes("a blob", 100_000);
    const digest = await putBytes(repository, bytes);
    for (const offset of [0, 50_000]) {
      const pieces: Buffer[] = [];
      const range = { offset, length: 50_000 };
      for await (const piece of repository.readBlob(digest, { range }))
        pieces.push(Buffer.from(piece));
      expect(Buffer.concat(pieces).equals(bytes.subarray(offset, offset + 50_000))).toBe(true);
      await sleep(600);
    }
    expect(requests.some((line) => line.endsWith(" 403"))).toBe(true);
    await pullBack(host);
  });
});
