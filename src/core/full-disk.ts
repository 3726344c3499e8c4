import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { systemCode } from "./errors.ts";

/** With fewer free than these, bytes or inodes are what has run out. */
const fewBytes = 4_194_304;
const fewInodes = 64;

/** What a filesystem has left. */
interface Room {
  readonly path: string;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly inodes: number;
  /** 0 where the filesystem does not count them. */
  readonly totalInodes: number;
}

/**
 * Says what has run out, space or inodes, on the first of `places` (existing or not) that is short
 * of either, with the numbers; undefined when none is, or can be asked.
 */
export function describeFullDisk(places: readonly string[]): string | undefined {
  const rooms = places.map(roomAt).filter((room) => room !== undefined);
  const full = rooms.find((room) => lacksBytes(room) || lacksInodes(room));
  if (full === undefined) return undefined;
  const { path, bytes, totalBytes, inodes, totalInodes } = full;
  return lacksInodes(full) && !lacksBytes(full)
    ? `no inodes left at ${path}: ${inodes} free of ${totalInodes}`
    : `no space left at ${path}: ${bytes} bytes free of ${totalBytes}`;
}

/** The folder where the filesystem of `path` (existing or not) is mounted. */
export function mountPoint(path: string): string {
  const device = deviceOf(path);
  const parent = dirname(path);
  const isTop = parent === path || (device !== undefined && deviceOf(parent) !== device);
  return isTop ? path : mountPoint(parent);
}

function deviceOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.dev;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

function lacksBytes({ bytes }: Room): boolean {
  return bytes < fewBytes;
}

function lacksInodes({ inodes, totalInodes }: Room): boolean {
  return totalInodes > 0 && inodes < fewInodes;
}

/** Asks the folder that is there, of `path` and those above it. */
function roomAt(path: string): Room | undefined {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, blocks, bsize, ffree, files } = statfsSync(folder);
      const [bytes, totalBytes] = [bavail * bsize, blocks * bsize];
      return { path, bytes, totalBytes, inodes: ffree, totalInodes: files };
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      if (dirname(folder) === folder) return undefined;
    }
  }
}
