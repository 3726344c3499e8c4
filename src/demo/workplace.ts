import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is gone when the demo is. */
export interface Workplace extends AsyncDisposable {
  readonly path: string;
}

const memoryFolder = "/dev/shm";

/** Makes a folder with room for `neededBytes`: in memory where that leaves enough, else on disk. */
export async function openWorkplace(neededBytes: number): Promise<Workplace> {
  const parent = (await hasMemory(neededBytes)) ? memoryFolder : tmpdir();
  const free = await freeBytes(parent);
  if (free < neededBytes)
    throw new Error(
      `${parent} has ${free} bytes free and the demo needs ${neededBytes}; set TMPDIR to a folder with more room`,
    );
  const path = await mkdtemp(join(parent, "ballast-demo-"));
  const remove = () => rm(path, { recursive: true, force: true, maxRetries: 5 });
  return { path, [Symbol.asyncDispose]: remove };
}

/** Files there count as memory: twice what is needed must be available, so that nothing swaps. */
async function hasMemory(neededBytes: number): Promise<boolean> {
  if (process.availableMemory() < neededBytes * 2) return false;
  return (await freeBytes(memoryFolder)) > neededBytes;
}

async function freeBytes(folder: string): Promise<number> {
  const stats = await statfs(folder).catch(() => undefined);
  return stats === undefined ? 0 : stats.bavail * stats.bsize;
}
