import { randomBytes } from "node:crypto";
import { rm, statfs, writeFile } from "node:fs/promises";
import { pathExists } from "../core/absence.ts";
import { systemCode } from "../core/errors.ts";
import type { StorePaths } from "./store-paths.ts";

/** 1 MiB. */
const reserveBytes = 1_048_576;

/**
 * Keeps a little space that is given up when models are removed: on a full disk even a removal has
 * folders and records to write. Nothing happens when there is not enough space for it.
 */
export async function keepReserve(paths: StorePaths): Promise<void> {
  if (await pathExists(paths.reserve)) return;
  const { bavail, bsize } = await statfs(paths.root);
  if (bavail * bsize < 4 * reserveBytes) return;
  try {
    await writeFile(paths.reserve, randomBytes(reserveBytes));
  } catch (error) {
    await giveUpReserve(paths);
    if (systemCode(error) !== "ENOSPC" && systemCode(error) !== "EDQUOT") throw error;
  }
}

/** Idempotent. */
export async function giveUpReserve(paths: StorePaths): Promise<void> {
  await rm(paths.reserve, { force: true });
}
