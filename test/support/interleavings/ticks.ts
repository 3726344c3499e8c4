import { access } from "node:fs/promises";

/**
 * Waits for one turn of the thread pool that file operations run on. With a pool of one thread all
 * of them, and these turns, end in the order they began, so that a run depends on its seed alone.
 */
export async function tick(): Promise<void> {
  await access("/");
}

export async function ticks(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await tick();
}
