import { readdir } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fileId, treeId } from "../../src/core/chunk-index.ts";
import { isModelError } from "../../src/core/errors.ts";
import { collect, removeModelRecord } from "../../src/store/garbage.ts";
import { listRecords, readRecord, writeRecord } from "../../src/store/model-record.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { originOf } from "../../src/store/store-paths.ts";
import { listSelections } from "../../src/store/tree.ts";
import { makeFolder } from "../support/store-folders.ts";
import { bytesOf, makeModel, pullModel, serveModels, wrongFiles } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const origin = originOf(name);
const piece = (seed: string, size: number) => bytesOf(seed, size);
const shared = piece("shared", 1_100_000);

/** Models that share files and chunks. */
const models = [
  makeModel({ shared, a: piece("a", 1000) }),
  makeModel({ shared, b: piece("b", 90_000), "dir/empty": Buffer.alloc(0) }),
  makeModel({ longer: Buffer.concat([shared, piece("c", 50_000)]), a: piece("a", 1000) }),
  makeModel({ alone: piece("alone", 400_000) }),
];

type Step =
  | {
      readonly do: "pull" | "lease" | "release" | "pin" | "unpin" | "remove";
      readonly model: number;
    }
  | { readonly do: "collect"; readonly maxBytes: number | undefined }
  | { readonly do: "reopen" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("pull", "pull", "lease", "release", "pin", "unpin", "remove"),
      model: fc.nat({ max: models.length - 1 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("collect"),
      maxBytes: fc.option(fc.nat({ max: 3_000_000 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen") }) },
);

/** What should be in the store, kept beside it. */
class Expected {
  /** Numbers of the models that are there, least recently used first. */
  present: number[] = [];
  readonly pinned = new Set<number>();
  readonly leases = new Map<number, Disposable>();

  isProtected(model: number): boolean {
    return this.pinned.has(model) || this.leases.has(model);
  }

  forget(model: number): void {
    this.present = this.present.filter((each) => each !== model);
    this.pinned.delete(model);
  }

  files(without: readonly number[] = []): Map<string, number> {
    const kept = this.present.filter((model) => !without.includes(model));
    const files = kept.flatMap((model) => models[model]?.index.files ?? []);
    return new Map(files.map((file) => [fileId(file), file.size]));
  }

  /** The least recently used models without which the rest fits. */
  victims(maxBytes: number): number[] {
    const victims: number[] = [];
    for (const model of this.present.filter((each) => !this.isProtected(each))) {
      const used = this.files(victims)
        .values()
        .reduce((sum, size) => sum + size, 0);
      if (used <= maxBytes) break;
      victims.push(model);
    }
    return victims;
  }
}

const modelAt = (number: number) => {
  const model = models[number];
  if (model === undefined) throw new Error(`no model ${number}`);
  return model;
};

async function take(store: Store, expected: Expected, next: Step, time: number): Promise<void> {
  if (next.do === "collect") {
    const { maxBytes } = next;
    const victims = maxBytes === undefined ? [] : expected.victims(maxBytes);
    const bytes = maxBytes === undefined ? undefined : { high: maxBytes, low: maxBytes };
    const swept = await collect(store, { watermarks: { bytes } });
    expect(swept.removed.map(({ manifest }) => manifest)).toEqual(
      victims.map((victim) => modelAt(victim).manifest),
    );
    for (const victim of victims) expected.forget(victim);
    await expectSwept(store, expected);
    return;
  }
  if (next.do === "reopen") return;
  const model = modelAt(next.model);
  const record = await readRecord(store.paths, origin, model.manifest);
  expect(record !== undefined).toBe(expected.present.includes(next.model));
  if (next.do === "pull") {
    const pulled = await pullModel(store, model, { source: serveModels(name, [model]) });
    expect(pulled.bytes.moved + pulled.bytes.reused).toBe(model.bytes);
    if (record !== undefined) expect(pulled.bytes.moved).toBe(0);
    await writeRecord(store.paths, { ...pulled.record, lastUsed: new Date(time * 1000) });
    expected.present = [...expected.present.filter((each) => each !== next.model), next.model];
  } else if (next.do === "release") {
    expected.leases.get(next.model)?.[Symbol.dispose]();
    expected.leases.delete(next.model);
  } else if (record === undefined) return;
  else if (next.do === "lease") {
    if (!expected.leases.has(next.model))
      expected.leases.set(next.model, await store.lease(origin, model.manifest));
  } else if (next.do === "remove") {
    const removed = await removeModelRecord(store, record).then(
      () => true,
      (error: unknown) => {
        if (!isModelError(error, "MODEL_IN_USE")) throw error;
        return false;
      },
    );
    expect(removed).toBe(!expected.isProtected(next.model));
    if (removed) expected.forget(next.model);
    if (removed) await expectSwept(store, expected);
  } else {
    await writeRecord(store.paths, { ...record, pinned: next.do === "pin" });
    if (next.do === "pin") expected.pinned.add(next.model);
    else expected.pinned.delete(next.model);
  }
}

/** Nothing is there that no model needs. */
async function expectSwept({ paths }: Store, expected: Expected): Promise<void> {
  expect((await readdir(paths.files)).sort()).toEqual([...expected.files().keys()].sort());
  expect(await readdir(paths.blobs)).toHaveLength(2 * expected.present.length);
  const trees = expected.present.map((model) => treeId(modelAt(model).index));
  expect((await readdir(paths.trees)).sort()).toEqual(trees.sort());
  expect(await readdir(paths.trash)).toEqual([]);
}

/** What is said to be there is there, whole. */
async function expectSound(store: Store, expected: Expected): Promise<void> {
  const records = await listRecords(store.paths);
  const manifests = expected.present.map((model) => modelAt(model).manifest);
  expect(records.map((record) => record.manifest).sort()).toEqual(manifests.sort());
  for (const number of expected.present) {
    const model = modelAt(number);
    const id = treeId(model.index);
    expect(await listSelections(store.paths, id)).toEqual(["all"]);
    expect(await wrongFiles(store.paths.tree(id, "all"), model)).toEqual([]);
  }
  expect(store.ledger.reservedBytes).toBe(0);
}

test("whatever is pulled, leased, pinned, removed and collected, a store holds just what it should", async () => {
  const run = fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      await using folder = await makeFolder();
      const root = join(folder.path, "store");
      const expected = new Expected();
      let store = await openStore(root);
      try {
        for (const [time, next] of steps.entries()) {
          if (next.do === "reopen") {
            await store[Symbol.asyncDispose]();
            // Leases end with the process that holds them.
            expected.leases.clear();
            store = await openStore(root);
          }
          await take(store, expected, next, time);
          await expectSound(store, expected);
        }
      } finally {
        await store[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 40, interruptAfterTimeLimit: 8000, markInterruptAsFailure: false },
  );
  await expect(run).resolves.toBeUndefined();
});
