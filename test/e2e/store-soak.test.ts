import { afterAll, beforeAll, expect, test } from "vitest";
import { runLibraryProcess } from "../support/library-process.ts";
import { makeSafetensors } from "../support/models.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await openWorkplace();
  for (const [name, files] of Object.entries(models))
    await place.push(await place.write(name.replaceAll(/\W/g, "-"), files), name);
});
afterAll(() => place[Symbol.asyncDispose]());

/** Big and small, many files and one, and versions that share most of their bytes. */
const models: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>> = {
  "team/llama:v1": { "config.json": "{}", ...shards("llama", ["a", "b", "c"]) },
  "team/llama:v2": { "config.json": '{"v":2}', ...shards("llama", ["a", "b", "d"]) },
  "team/one:v1": { "model.bin": seededBytes("one", 12 * mebi) },
  "team/small:v1": manyFiles("small"),
  "other/llama:v1": { "config.json": "{}", ...shards("llama", ["a", "b", "c"]) },
  "other/tiny:v1": { "config.json": "{}", empty: "" },
};

function shards(name: string, seeds: readonly string[]): Record<string, Uint8Array> {
  return Object.fromEntries(
    seeds.map((seed) => {
      const bytes = seededBytes(name + seed, 3 * mebi);
      const tensor = { name: seed, dtype: "U8", shape: [bytes.byteLength], bytes };
      return [`model-${seed}.safetensors`, makeSafetensors([tensor])];
    }),
  );
}

function manyFiles(seed: string): Record<string, Uint8Array> {
  const names = Array.from({ length: 150 }, (_, at) => `folder-${at % 7}/file-${at}`);
  return Object.fromEntries(names.map((name) => [name, seededBytes(seed + name, 2000)]));
}

/** What compiled code and caches may still grow by after the warm-up. */
const heapToleranceMiB = 5;
/** What the allocator keeps of threads that ended, more or less of it: a third of a MiB for each pull. */
const rssToleranceMiB = 50;

/** What one process holds, with nothing but an empty store. */
interface Sample {
  readonly pulls: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly rssMiB: number;
  readonly heapMiB: number;
  /** Paths in the store. */
  readonly paths: readonly string[];
}

/** The body of the process: pulls and evicts, and prints a sample after each so many. */
const script = `
const { readdirSync } = await import("node:fs");
const { setImmediate } = await import("node:timers/promises");
const { references, store, output, pulls, every } = JSON.parse(process.env.SOAK);
const { pull, removeModel, collectGarbage, pinModel, listModels, verifyStore } = ballast;

async function pullOne(number) {
  const reference = references[number % references.length];
  if (number % 11 === 5) {
    const stop = new AbortController();
    const onProgress = ({ type }) => type === "bytes" && stop.abort();
    await pull({ reference, store, signal: stop.signal, onProgress }).catch((error) => {
      if (error.code !== "CANCELLED") throw error;
    });
  } else if (number % 7 === 3) await pull({ reference, store, include: ["*.json", "*-a.*", "file-1*", "*.bin"] });
  else if (number % 13 === 7) await pull({ reference, store, output, overwrite: true });
  else await pull({ reference, store });
}

async function evictSome(number) {
  const models = await listModels({ store });
  const found = models[number % Math.max(1, models.length)];
  if (found === undefined) return;
  if (number % 5 === 1) await removeModel({ store, model: found.name });
  else if (number % 5 === 2) await collectGarbage({ store, maxBytes: 15_000_000 });
  else if (number % 17 === 4) await verifyStore({ store });
  else {
    await pinModel({ store, model: found.name, pinned: true });
    await collectGarbage({ store, maxBytes: number % 2 === 0 ? 0 : 8_000_000 });
    await pinModel({ store, model: found.name, pinned: false });
  }
}

async function sample(pulls) {
  await collectGarbage({ store, maxBytes: 0 });
  for (let turn = 0; turn < 20; turn += 1) {
    gc();
    await setImmediate();
  }
  const { rss, heapUsed } = process.memoryUsage();
  return {
    pulls,
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
    rssMiB: Math.round(rss / 1_048_576),
    heapMiB: Math.round(heapUsed / 104_857.6) / 10,
    paths: readdirSync(store, { recursive: true }).sort(),
  };
}

const samples = [];
for (let number = 1; number <= pulls; number += 1) {
  await pullOne(number);
  await evictSome(number);
  if (number % every === 0) samples.push(await sample(number));
}
process.stdout.write(JSON.stringify(samples));
`;

test("200 pulls and evictions of mixed models leave a process and its store as they were", async () => {
  const soak = {
    references: Object.keys(models).map((name) => place.ref(name)),
    store: place.inside("store"),
    output: place.inside("out"),
    pulls: 200,
    every: 50,
  };
  const printed = await runLibraryProcess(script, {
    flags: ["--expose-gc"],
    env: { SOAK: JSON.stringify(soak) },
  });
  const samples = JSON.parse(printed) as Sample[];
  for (const { paths, ...held } of samples)
    console.log(JSON.stringify({ ...held, paths: paths.length }));
  const [warm, last] = [samples[0], samples.at(-1)];
  if (warm === undefined || last === undefined) throw new Error("no samples");
  expect(last.pulls - warm.pulls).toBe(150);
  expect(last.paths).toEqual(warm.paths);
  expect(last.descriptors).toBeLessThanOrEqual(warm.descriptors);
  expect(last.threads).toBeLessThanOrEqual(warm.threads);
  expect(last.heapMiB).toBeLessThan(warm.heapMiB + heapToleranceMiB);
  expect(last.rssMiB).toBeLessThan(warm.rssMiB + rssToleranceMiB);
});
