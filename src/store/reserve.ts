import { randomBytes } from "node:crypto";
import { rm, statfs, writeFile } from "node:fs/promises";
import { isFullDisk } from "../core/system-error.ts";
import type { StorePaths } from "./store-paths.ts";
import { isWhole } from "./whole-files.ts";

/** 1 MiB. */
const reserveBytes = 1_048_576;
/** Empty files beside it, each an inode: a lock takes up to three. */
const spareInodes = 3;

/**
 * Keeps a little space and some inodes that are given up when models are removed: on a full disk
 * even a lock or a record needs some. Nothing happens when there is not enough left for it.
 */
export async function keepReserve(paths: StorePaths): Promise<void> {
  // A kill leaves less of it.
  if (await isWhole(paths.reserve, reserveBytes)) return;
  const { bavail, bsize, files, ffree } = await statfs(paths.root);
  if (bavail * bsize < 4 * reserveBytes || (files > 0 && ffree < 4 * spareInodes)) return;
  try {
    for (const path of sparePaths(paths)) await writeFile(path, "");
    await writeFile(paths.reserve, randomBytes(reserveBytes));
  } catch (error) {
    await giveUpReserve(paths);
    if (!isFullDisk(error)) throw error;
  }
}

/** Idempotent. */
export async function giveUpReserve(paths: StorePaths): Promise<void> {
  for (const path of [paths.reserve, ...sparePaths(paths)]) await rm(path, { force: true });
}

/** Does small work that must succeed on a full disk: where there is no room, the reserve is given up for it. */
export async function withReserve<T>(paths: StorePaths, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isFullDisk(error)) throw error;
    await giveUpReserve(paths);
    return work();
  }
}

function sparePaths({ reserve }: StorePaths): string[] {
  return Array.from({ length: spareInodes }, (_, at) => `${reserve}.${at + 1}`);
}
