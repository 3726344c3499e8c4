import { readdir } from "node:fs/promises";
import { pathExists } from "../core/absence.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import type { StorePaths } from "./store-paths.ts";

/** From so many on, one listing of the folder is cheaper than a look at each. */
const manyFiles = 256;

/** Ids of those of `files` that are in the store whole. */
export async function wholeFiles(
  paths: StorePaths,
  files: readonly { readonly id: string }[],
): Promise<ReadonlySet<string>> {
  if (files.length >= manyFiles) return new Set(await readdir(paths.files));
  const whole = new Set<string>();
  await forEachConcurrently(files, 16, async ({ id }) => {
    if (await pathExists(paths.file(id))) whole.add(id);
  });
  return whole;
}
