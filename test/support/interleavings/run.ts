import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collect } from "../../../src/store/garbage.ts";
import { listRecords } from "../../../src/store/model-record.ts";
import { setPinned } from "../../../src/store/pin.ts";
import { targets } from "./catalogue.ts";
import { checkCollected, checkRest } from "./rest.ts";
import type { Round } from "./scenario.ts";
import { World } from "./world.ts";

/** What was done, for the one who reads the test's output. */
export interface Counts {
  interleavings: number;
  operations: number;
  crashes: number;
}

/** Runs a scenario on a store of its own; throws at the first thing that is not as it must be. */
export async function runScenario(rounds: readonly Round[], counts: Counts): Promise<void> {
  // In memory where there is such a filesystem: nobody waits for a disk, and none is worn out.
  const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "ballast-"));
  const world = await World.open(join(folder, "store"));
  try {
    for (const round of rounds) {
      await runRound(world, round);
      counts.interleavings += 1;
      counts.operations += round.steps.length;
      if (round.end === "crash") counts.crashes += 1;
    }
    await checkEnd(world);
  } finally {
    await world.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function runRound(world: World, round: Round): Promise<void> {
  await world.begin(round);
  if (round.end === "crash") {
    await world.turns(round.after);
    return world.crash();
  }
  await world.settle();
  await checkRest(world);
  if (round.end !== "restart") return undefined;
  await world.restart();
  return checkCollected(world);
}

/** Whatever happened: every model can be pulled, and all of them removed to the last byte. */
async function checkEnd(world: World): Promise<void> {
  await world.settle();
  await world.restart();
  await checkCollected(world);
  for (const { number: target } of targets.filter((each) => each.honest))
    world.start({ do: "pull", target, selection: "all", fault: "none", at: 0, hold: 0 });
  await world.settle();
  await world.restart();
  await checkCollected(world);
  const { store } = world;
  for (const record of await listRecords(store.paths)) await setPinned(store, record, false);
  await collect(store, { watermarks: { bytes: { high: 0, low: 0 } } });
  const { paths } = store;
  for (const folder of [paths.files, paths.blobs, paths.trees, paths.grants, paths.ingest]) {
    const left = await readdir(folder);
    if (left.length > 0) throw new Error(`left in ${folder}: ${left.join(" ")}`);
  }
}
