import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * Compares every file of a pulled folder with its source by sha256 of the bytes on disk; nothing
 * that Ballast wrote about them is asked. Returns how many there are; rejects at the first that
 * differs.
 */
export async function compareFiles(
  source: string,
  pulled: string,
  signal: AbortSignal,
): Promise<number> {
  const root = await contentRoot(source);
  const paths = await listFiles(pulled);
  for (const path of paths) {
    const files = [join(root, path), join(pulled, path)];
    const [wanted, actual] = await Promise.all(files.map((file) => sha256(file, signal)));
    if (wanted !== actual)
      throw new Error(`${path} is not what was pushed: sha256 ${actual}, the source has ${wanted}`);
  }
  return paths.length;
}

async function sha256(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 ** 2 }), hash, { signal });
  return hash.digest("hex");
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Where the files of a source lie: beside a single file, in a hub cache's main revision, else in it. */
async function contentRoot(source: string): Promise<string> {
  if ((await stat(source)).isFile()) return dirname(source);
  const main = await readFile(join(source, "refs/main"), "utf8").catch(() => undefined);
  const snapshot = main === undefined ? undefined : join(source, "snapshots", main.trim());
  const found = snapshot && (await stat(snapshot).catch(() => undefined));
  return snapshot !== undefined && found ? snapshot : source;
}
