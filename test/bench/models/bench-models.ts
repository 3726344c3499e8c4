import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { type PlannedShard, planLlama } from "./llama-shape.ts";
import { type ModelFiles, writeModel } from "./model-files.ts";

/** Files of weights: as large models are published, or all in one. */
const shardCounts = { shards: 4, "one-file": 1 } as const;

export type Split = keyof typeof shardCounts;

/** What people call a model split this way. */
export function nameSplit(split: Split): string {
  return split === "shards" ? `${shardCounts.shards} shards` : "one file";
}

/** Writes the model of the bench into `name` of the workspace. */
export function makeBenchModel(bench: Bench, split: Split, name: string): Promise<ModelFiles> {
  const { workspace, settings, signal } = bench;
  const shards = planLlama(settings.bytes, shardCounts[split]);
  return writeModel(join(workspace.fast, name), shards, { signal });
}

/** A tune of the same model, and how much of it is new. */
export interface Tune {
  readonly model: ModelFiles;
  /** Bytes of the tensors that differ. */
  readonly changedBytes: number;
  /** Stretches of neighbouring tensors that differ. */
  readonly changedRuns: number;
}

/** What adapters are usually trained for; merged, they change these tensors of every layer. */
const tuned = /\.(?:q_proj|v_proj)\.weight$/;

/** Writes the model as it is after an adapter was merged into it. */
export async function makeTunedModel(bench: Bench, split: Split, name: string): Promise<Tune> {
  const { workspace, settings, signal } = bench;
  const shards = planLlama(settings.bytes, shardCounts[split]);
  const versionOf = (tensor: string) => (tuned.test(tensor) ? "2" : "1");
  const model = await writeModel(join(workspace.fast, name), shards, { versionOf, signal });
  return { model, ...measureChange(shards) };
}

function measureChange(shards: readonly PlannedShard[]) {
  let [changedBytes, changedRuns] = [0, 0];
  for (const { tensors } of shards) {
    let isRun = false;
    for (const { name, size } of tensors) {
      const isChanged = tuned.test(name);
      if (isChanged) changedBytes += size;
      if (isChanged && !isRun) changedRuns += 1;
      isRun = isChanged;
    }
  }
  return { changedBytes, changedRuns };
}
