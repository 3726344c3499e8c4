import { ModelError } from "../core/errors.ts";
import type { Abortable } from "../core/progress.ts";
import { type ModelRecord, readRecord, writeRecord } from "./model-record.ts";
import { withReserve } from "./reserve.ts";
import type { Store } from "./store.ts";

/**
 * Keeps a model from being evicted until it is unpinned, or lets it go again; survives a crash once
 * it resolved. Idempotent. Rejects with NOT_FOUND when the model is not there (any more).
 */
export async function setPinned(
  store: Store,
  { origin, manifest }: Pick<ModelRecord, "origin" | "manifest">,
  pinned: boolean,
  options: Abortable = {},
): Promise<void> {
  await store.changes.hold(async () => {
    const record = await readRecord(store.paths, origin, manifest);
    if (record === undefined)
      throw new ModelError("NOT_FOUND", `${origin.name}@${manifest} was removed meanwhile`);
    const write = () => writeRecord(store.paths, { ...record, pinned });
    if (record.pinned !== pinned) await withReserve(store.paths, write);
  }, options);
}
