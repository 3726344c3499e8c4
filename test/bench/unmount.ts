import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

/** Unmounts what is mounted at or below `path`; does nothing where nothing is. */
export async function unmountBelow(path: string): Promise<void> {
  const mounts = (await readFile("/proc/mounts", "utf8")).split("\n");
  const points = mounts.map((line) => line.split(" ")[1] ?? "");
  for (const point of points.filter((each) => each === path || each.startsWith(`${path}/`)))
    await promisify(execFile)("umount", [point]);
}
