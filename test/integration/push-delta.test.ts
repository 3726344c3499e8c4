import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseReference } from "../../src/core/reference.ts";
import { connect } from "../../src/model/connection.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { resolveModel } from "../../src/model/resolve.ts";
import { makeSafetensors } from "../support/models.ts";
import { openWorkplace, readTree, seededBytes, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

const tensorCount = 24;
/** Bytes of tensor number `at`: from 128 KiB to 3 MiB, as in a block of a small transformer. */
const sizeOf = (at: number) => ([3, 1, 0.125, 2, 2.5, 0.25][at % 6] ?? 1) * 1_048_576;
const headerBytes = 20_000;

interface Edit {
  /** Numbers of tensors with new bytes. */
  readonly changed: readonly number[];
  /** Numbers of tensors with which another shard starts. */
  readonly cuts: readonly number[];
}

async function writeShards(name: string, edit: Edit): Promise<string> {
  const folder = place.inside(name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const starts = [0, ...edit.cuts, tensorCount];
  for (const [shard, start] of starts.slice(0, -1).entries()) {
    const numbers = Array.from({ length: (starts[shard + 1] ?? 0) - start }, (_, at) => start + at);
    const tensors = numbers.map((at) => ({
      name: `model.layers.${Math.floor(at / 6)}.part${at % 6}.weight`,
      dtype: "U8",
      shape: [sizeOf(at)],
      bytes: seededBytes(`${edit.changed.includes(at) ? "new" : "old"}${at}`, sizeOf(at)),
    }));
    const path = `model-${shard + 1}-of-${starts.length - 1}.safetensors`;
    await writeFile(join(folder, path), makeSafetensors(tensors));
  }
  return folder;
}

/** Changed tensors that touch are one run; a border of a shard that moved is one too. */
function countRuns({ changed, cuts }: Edit, before: readonly number[]): number {
  const runs = changed.filter((at) => !changed.includes(at - 1)).length;
  const moved = [...cuts, ...before].filter((at) => cuts.includes(at) !== before.includes(at));
  return runs + moved.length;
}

async function findLargestChunk(text: string): Promise<number> {
  const reference = parseReference(text);
  await using connection = await connect(reference, {});
  const { index } = await resolveModel(connection.repository, reference);
  return Math.max(...index.files.flatMap((file) => file.chunks.map((chunk) => chunk.size)));
}

const cuts = fc
  .uniqueArray(fc.integer({ min: 1, max: tensorCount - 1 }), { maxLength: 3 })
  .map((numbers) => numbers.toSorted((a, b) => a - b));
const edits = fc.record({
  changed: fc.uniqueArray(fc.nat(tensorCount - 1), { maxLength: 4 }),
  cuts,
});

test("a model with a few tensors changed and its shards re-split moves little, out and in", async () => {
  const v1Cuts = [10, 17];
  const v1 = await writeShards("v1", { changed: [], cuts: v1Cuts });
  const base = place.ref("tuned:v1");
  const store = place.inside("store");
  await push({ source: v1, reference: base });
  await pull({ reference: base, store });
  const largestChunk = await findLargestChunk(base);
  let number = 1;
  await fc.assert(
    fc.asyncProperty(edits, async (edit) => {
      number += 1;
      const source = await writeShards("next", edit);
      const reference = place.ref(`tuned:next${number}`);
      const pushed = await push({ source, reference, base });
      const changedBytes = edit.changed.reduce((sum, at) => sum + sizeOf(at), 0);
      const runs = countRuns(edit, v1Cuts);
      // The headers of the shards and the layers' share of dead neighbours are in the 10 %.
      const bound = 1.1 * (changedBytes + headerBytes) + runs * largestChunk;
      expect(pushed.bytes.moved).toBeLessThanOrEqual(bound);
      const pulled = await pull({ reference, store });
      expect(pulled.bytes.moved).toBeLessThanOrEqual(bound);
      expect(await readTree(pulled.path)).toEqual(await readTree(source));
    }),
    { numRuns: 5, seed: 20_260_101 },
  );
});
