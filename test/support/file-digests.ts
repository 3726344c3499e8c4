import { hash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

/** The sha256 of every file below a folder by its path, without what `pull` keeps beside them. */
export async function hashFiles(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith(".ballast/"));
  const digests: Record<string, string> = {};
  for (const path of paths.sort())
    digests[path] = hash("sha256", await readFile(join(folder, path)));
  return digests;
}
