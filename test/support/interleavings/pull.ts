import { isModelError } from "../../../src/core/errors.ts";
import { parseReference } from "../../../src/core/reference.ts";
import { selectionOf } from "../../../src/model/pull-work.ts";
import { chooseFiles, openModel } from "../../../src/model/pulled-model.ts";
import type { Store } from "../../../src/store/store.ts";
import { buildTree } from "../../../src/store/tree.ts";
import { makePresent } from "../../../src/transfer/present.ts";
import { type Target, targetAt } from "./catalogue.ts";
import { memoryRepository, memoryTransfer } from "./memory-repository.ts";
import { mountTree } from "./mount.ts";
import type { Operation } from "./scenario.ts";
import { ticks } from "./ticks.ts";
import { selections } from "./visible.ts";
import type { World } from "./world.ts";

type Pull = Extract<Operation, { readonly do: "pull" }>;

/** The fault that was asked for. */
class Interruption extends Error {}

/** Pulls a model as the library does, and mounts it for a while when it is there. */
export async function pullTarget(world: World, store: Store, pull: Pull): Promise<void> {
  const target = targetAt(pull.target);
  using _begun = world.expect.beginPull(target);
  const stop = new AbortController();
  const stopping = pull.fault === "abort" ? stopAt(pull.at, stop) : undefined;
  try {
    await bring(world, store, { pull, target, signal: stop.signal });
  } catch (error) {
    if (!isMeant(error, pull, target)) throw error;
  } finally {
    await stopping;
  }
}

async function bring(
  world: World,
  store: Store,
  { pull, target, signal }: { pull: Pull; target: Target; signal: AbortSignal },
): Promise<void> {
  const { origin, model, tag, treeId } = target;
  const repository = memoryRepository(target, pull.at);
  const reference = parseReference(`${origin.name}:${tag}`);
  const named = { repository, reference, digest: model.manifest };
  using opened = await openModel(store, named, { isHere: false, signal });
  using _protection = world.owns(store) ? world.expect.protect(target) : undefined;
  const selection = selections[pull.selection];
  const { record } = opened;
  const { index } = opened.model;
  const files = chooseFiles(index, selection, opened.model.name);
  const transfer = memoryTransfer(target, world.disk, faultOf(pull));
  await makePresent({ store, record, index, files, transfer, signal });
  const path = await buildTree(store.paths, {
    treeId,
    selection: selectionOf(opened, files),
    files,
  });
  if (!world.owns(store)) return;
  if (!target.honest) throw new Error(`${origin.name} was given what is not its own`);
  world.expect.pulled(target, pull.selection);
  await world.unmountLater(mountTree(path, target, pull.selection), pull.hold);
}

async function stopAt(turn: number, stop: AbortController): Promise<void> {
  await ticks(turn * 4);
  stop.abort(new Interruption("no longer wanted"));
}

function faultOf({ fault, at }: Pull): (piece: Buffer) => Uint8Array {
  let pieces = 0;
  return (piece) => {
    pieces += 1;
    if (fault === "cut" && pieces >= at) throw new Interruption("the line is cut");
    const isWrong = fault === "all wrong" ? pieces >= at : fault === "one wrong" && pieces === at;
    return isWrong ? piece.map((byte) => byte ^ 1) : piece;
  };
}

function isMeant(error: unknown, { fault }: Pull, { honest }: Target): boolean {
  if (error instanceof Interruption) return fault === "cut" || fault === "abort";
  return isModelError(error, "DIGEST_MISMATCH") && (fault === "all wrong" || !honest);
}
