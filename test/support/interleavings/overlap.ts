import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeFolder } from "../store-folders.ts";
import { bytesOf } from "../store-models.ts";
import { checkCollected } from "./rest.ts";
import { createWatch } from "./visible.ts";
import { World } from "./world.ts";

const support = join(import.meta.dirname, "..");
/** One for each core of a small machine. */
const processes = 2;
/** About what a busy process does in its first seconds. */
const mostTurns = 6000;

interface Told {
  readonly interleavings: number;
  readonly operations: number;
  readonly crashes: number;
  readonly failure?: string;
}

/**
 * Runs so many random scenarios, in processes whose file operations end in order, and prints what
 * they did. Rejects with the first failure and how to see it again.
 */
export async function runScenarios(runs: number, signal: AbortSignal): Promise<void> {
  const seed = randomSeed();
  const share = Math.ceil(runs / processes);
  await Promise.all(
    Array.from({ length: processes }, (_, at) => runInOrder(share, seed + at, signal)),
  );
}

/**
 * Has a process that is busy with a store kill itself, so many times, each time after another number
 * of turns. Throws when what it leaves shows a byte that was not verified, or when anything is there
 * after the next opening and a collection that nothing accounts for.
 */
export async function killOften(kills: number, signal: AbortSignal): Promise<void> {
  const seed = randomSeed();
  const moments = bytesOf(seed, kills * 2);
  await using folder = await makeFolder();
  const root = join(folder.path, "store");
  for (let kill = 0; kill < kills; kill += 1) {
    const turns = moments.readUInt16LE(kill * 2) % mostTurns;
    await runUntilKilled([root, `${seed + kill}`, `${turns}`], signal);
    createWatch(root).look(true);
    if (kill % 4 !== 3) continue;
    const world = await World.open(root);
    await checkCollected(world);
    await world.close();
  }
  console.log(`${kills} kills of a busy process, seed ${seed}`);
}

function randomSeed(): number {
  return Math.trunc(Math.random() * 2 ** 31);
}

async function runInOrder(runs: number, seed: number, signal: AbortSignal): Promise<void> {
  const child = join(support, "child-store-interleavings.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [child, `${runs}`, `${seed}`], {
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
    signal,
  });
  const { interleavings, operations, crashes, failure } = JSON.parse(stdout) as Told;
  const did = `${interleavings} interleavings of ${operations} operations with ${crashes} crashes`;
  console.log(`${did}, seed ${seed}`);
  if (failure === undefined) return;
  const again = `UV_THREADPOOL_SIZE=1 node ${child} ${runs} ${seed} PATH`;
  throw new Error(`${failure}\nto see it again: ${again}`);
}

async function runUntilKilled(args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [join(support, "child-store-busy.ts"), ...args], {
    stdio: "inherit",
    signal,
  });
  const [code, killedBy] = (await once(child, "close")) as [number | null, string | null];
  if (killedBy !== "SIGKILL") throw new Error(`${args.join(" ")} ended with ${code}`);
}
