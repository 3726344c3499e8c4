import { glob, readFile } from "node:fs/promises";
import { resolve } from "node:path";

const repository = resolve(import.meta.dirname, "../..");

/** Reads the files that match `patterns`, as path in the repository to text. */
export async function readTree(...patterns: readonly string[]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const path of glob(patterns, { cwd: repository }))
    if (/\.\w+$/.test(path)) files.set(path, await readFile(resolve(repository, path), "utf8"));
  return files;
}

/** Reads one file of the repository. */
export function readDocument(path: string): Promise<string> {
  return readFile(resolve(repository, path), "utf8");
}
