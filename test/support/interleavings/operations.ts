import { existsSync } from "node:fs";
import { join } from "node:path";
import { digestHex } from "../../../src/core/digest.ts";
import { isModelError } from "../../../src/core/errors.ts";
import { grantedTrees } from "../../../src/model/granted-trees.ts";
import { listModels } from "../../../src/model/stored-models.ts";
import { collect, removeModelRecord } from "../../../src/store/garbage.ts";
import { readRecord } from "../../../src/store/model-record.ts";
import { setPinned } from "../../../src/store/pin.ts";
import type { Store } from "../../../src/store/store.ts";
import type { StorePaths } from "../../../src/store/store-paths.ts";
import { type Target, targetAt } from "./catalogue.ts";
import { mountTree } from "./mount.ts";
import { pullTarget } from "./pull.ts";
import type { Operation } from "./scenario.ts";
import { targetOf } from "./strays.ts";
import type { World } from "./world.ts";

/** Runs one operation on the store, notes what it means, and throws when it ends as it must not. */
export async function runOperation(
  world: World,
  store: Store,
  operation: Operation,
): Promise<void> {
  switch (operation.do) {
    case "pull":
      return pullTarget(world, store, operation);
    case "mount":
      return mount(world, store, targetAt(operation.target), operation.hold);
    case "pin":
      return pin(world, store, targetAt(operation.target), true);
    case "unpin":
      return pin(world, store, targetAt(operation.target), false);
    case "remove":
      return remove(world, store, targetAt(operation.target));
    case "collect": {
      const { bytes: high, dryRun } = operation;
      const bytes = high === undefined ? undefined : { high, low: high / 2 };
      return evict(world, store, { watermarks: { bytes }, dryRun });
    }
    case "evict for space":
      // More than any disk has: everything must go that may.
      return evict(world, store, {
        watermarks: { freeBytes: { high: Number.MAX_SAFE_INTEGER, low: Number.MAX_SAFE_INTEGER } },
      });
    case "list":
      return list(store);
  }
}

/** Leases a model that is there whole, and reads it for a while. */
async function mount(world: World, store: Store, target: Target, hold: number): Promise<void> {
  using _begun = world.expect.begin(target);
  const { origin, model, treeId } = target;
  using _lease = await store.lease(origin, model.manifest);
  using _protection = world.expect.protect(target);
  if (!world.owns(store)) return;
  const path = store.paths.tree(treeId, "all");
  // Looked at in one go: where a lease began too early, nothing else would wait for the removal.
  if (target.honest && isRecorded(store.paths, target) && existsSync(path)) {
    await world.unmountLater(mountTree(path, target, "all"), hold);
    return;
  }
  const record = await readRecord(store.paths, origin, model.manifest);
  const trees = record === undefined ? [] : await grantedTrees(store.paths, record);
  if (!target.honest && trees.length > 0)
    throw new Error(`${origin.name} is shown a tree that is not its own`);
}

function isRecorded(paths: StorePaths, { origin, model }: Target): boolean {
  const name = `${digestHex(model.manifest)}.json`;
  return existsSync(join(paths.grants, origin.host, origin.repository, "_models", name));
}

async function pin(world: World, store: Store, target: Target, pinned: boolean): Promise<void> {
  const { expect } = world;
  // Of two at once nobody could tell which was the last.
  if (expect.pinned(target) === undefined) return;
  using _begun = expect.begin(target);
  const before = expect.before();
  const wasThere = expect.surely(target).size > 0;
  expect.setPinned(target, undefined);
  try {
    await setPinned(store, { origin: target.origin, manifest: target.model.manifest }, pinned);
    if (world.owns(store)) expect.setPinned(target, pinned);
  } catch (error) {
    if (!isModelError(error, "NOT_FOUND")) throw error;
    if (world.owns(store)) expect.setPinned(target, false);
    if (wasThere && expect.stayedProtected(target, before)) throw error;
  }
}

async function remove(world: World, store: Store, target: Target): Promise<void> {
  const { origin, model } = target;
  const before = world.expect.before();
  const record = await readRecord(store.paths, origin, model.manifest);
  if (record === undefined) return;
  await whileRemoving(world, store, async () => {
    try {
      await removeModelRecord(store, record);
      if (world.owns(store)) world.expect.removed(target, before);
    } catch (error) {
      if (!isModelError(error, "MODEL_IN_USE")) throw error;
      if (!world.expect.mayBeProtected(target, before)) throw error;
    }
  });
}

async function evict(
  world: World,
  store: Store,
  options: Parameters<typeof collect>[1],
): Promise<void> {
  const before = world.expect.before();
  await whileRemoving(world, store, async () => {
    const { removed } = await collect(store, options);
    if (options?.dryRun === true || !world.owns(store)) return;
    for (const record of removed) world.expect.removed(targetOf(record), before);
  });
}

/** What a crash takes from the middle of a removal nobody knows. */
async function whileRemoving(world: World, store: Store, work: () => Promise<void>): Promise<void> {
  world.removals += 1;
  await work();
  if (world.owns(store)) world.removals -= 1;
}

/** Anybody may list the models, without the lock. */
async function list(store: Store): Promise<void> {
  await listModels({ store: store.paths.root });
}
