import fc from "fast-check";
import { startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { checkRest } from "./interleavings/rest.ts";
import { scenario } from "./interleavings/scenario.ts";
import { ticks } from "./interleavings/ticks.ts";
import { World } from "./interleavings/world.ts";

/**
 * Has operations overlap on the store at the first argument, on real threads, as the second one, a
 * seed, says; kills itself (SIGKILL) after so many turns (the third).
 */
const [, , root = "", seed = "1", turns = "0"] = process.argv;
await using disk = startDiskThreads(2);
await Promise.race([work(), killLater()]);

async function work(): Promise<void> {
  const world = await World.open(root, disk);
  for (const rounds of fc.sample(scenario, { seed: Number(seed), numRuns: 1000 }))
    for (const round of rounds) {
      await world.begin(round);
      await world.settle();
      await checkRest(world);
    }
}

async function killLater(): Promise<void> {
  await ticks(Number(turns));
  process.kill(process.pid, "SIGKILL");
}
