import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileId } from "../../../src/core/chunk-index.ts";
import { selectionId } from "../../../src/core/selection.ts";
import { grantedTrees } from "../../../src/model/granted-trees.ts";
import { collect } from "../../../src/store/garbage.ts";
import { grantedFiles, listRecords, readRecord } from "../../../src/store/model-record.ts";
import type { StorePaths } from "../../../src/store/store-paths.ts";
import { provableFiles, type Target, targets } from "./catalogue.ts";
import type { Expectations } from "./expectations.ts";
import { findStrays, targetOf } from "./strays.ts";
import { checkTreeBytes, chosenFiles, findTrees, type SelectionName } from "./visible.ts";
import type { World } from "./world.ts";

/** Throws unless a store at which nothing is under way is as it must be. */
export async function checkRest(world: World): Promise<void> {
  const { store, expect } = world;
  world.lookAtAll();
  if (store.ledger.reservedBytes !== 0)
    throw new Error(`${store.ledger.reservedBytes} bytes stay promised`);
  const left = await readdir(store.paths.trash);
  if (left.length > 0) throw new Error(`in the trash: ${left.join(" ")}`);
  for (const target of targets) await checkTarget(store.paths, target, expect);
  await checkOrigins(store.paths);
  await checkInodes(store.paths);
}

/** Collects garbage; throws when anything is left that no model needs. */
export async function checkCollected(world: World): Promise<void> {
  await collect(world.store);
  const strays = await findStrays(world.store.paths);
  if (strays.length > 0) throw new Error(`left behind: ${strays.join(" ")}`);
  await checkRest(world);
}

/** What was pulled and not removed is there; a pin is as it was last set. */
async function checkTarget(paths: StorePaths, target: Target, expect: Expectations): Promise<void> {
  const { origin, model, treeId } = target;
  const name = `${origin.name}@${model.manifest}`;
  const record = await readRecord(paths, origin, model.manifest);
  const pinned = expect.pinned(target);
  if (pinned !== undefined && (record?.pinned ?? false) !== pinned)
    throw new Error(`${name}: pinned should be ${pinned}`);
  for (const selection of expect.surely(target)) {
    if (record === undefined) throw new Error(`${name} was pulled, and its record is gone`);
    const trees = await grantedTrees(paths, record);
    const path = paths.tree(treeId, selectionName(target, selection));
    if (!trees.includes(path)) throw new Error(`${name} was pulled, and ${path} is not its own`);
    checkTreeBytes(path, chosenFiles(target, selection));
  }
}

/** No repository was granted what it does not have; no two of its models go by one tag. */
async function checkOrigins(paths: StorePaths): Promise<void> {
  const tags = new Set<string>();
  for (const record of await listRecords(paths)) {
    const { origin, honest } = targetOf(record);
    const stolen = (await grantedFiles(paths, record)).difference(provableFiles(origin));
    if (stolen.size > 0) throw new Error(`${origin.name} was granted ${[...stolen].join(" ")}`);
    if (!honest && (await grantedTrees(paths, record)).length > 0)
      throw new Error(`${origin.name} is shown a tree that is not its own`);
    for (const tag of record.tags) {
      if (tags.has(`${origin.name}:${tag}`)) throw new Error(`two models go by ${tag}`);
      tags.add(`${origin.name}:${tag}`);
    }
  }
}

/** Every byte is on disk once: what trees show are the files of the store. */
async function checkInodes(paths: StorePaths): Promise<void> {
  for (const tree of findTrees(paths.root)) {
    const id = tree.split("/").at(-3);
    const files = targets.find((target) => target.treeId === id)?.model.index.files ?? [];
    for (const file of files) {
      const shown = await stat(join(tree, file.path)).catch(() => undefined);
      if (shown === undefined) continue;
      if (shown.ino !== (await stat(paths.file(fileId(file)))).ino)
        throw new Error(`${tree}/${file.path} is another copy of its file`);
    }
  }
}

function selectionName(target: Target, selection: SelectionName): string {
  return selectionId([...chosenFiles(target, selection).keys()], [...target.model.files.keys()]);
}
