import { open, readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { isRecord } from "../core/chunk-index.ts";
import { comparePaths } from "../core/model-path.ts";
import { parseOrUndefined } from "../core/parse-or-undefined.ts";
import type { Abortable } from "../core/progress.ts";

/** What a warming did. */
export interface Warmed {
  /** Read, so that the page cache holds them. */
  readonly bytes: number;
  /** Memory ran short before all was read. */
  readonly stoppedEarly: boolean;
}

export interface WarmOptions extends Abortable {
  /** Bytes that programs could still get, and bytes of the machine; asked again and again. */
  readonly memory?:
    | (() => Promise<{ readonly available: number; readonly total: number }>)
    | undefined;
}

/** Memory that stays for programs, as a share of the machine's. */
const keptShare = 0.2;
/** Read at once (4 MiB); after each it is asked how much memory is left. */
const pieceBytes = 4_194_304;

/**
 * Reads a tree's files into the page cache, in the order in which a serving stack loads them: small
 * files, then shards as the safetensors index names them. Stops where a fifth of the machine's memory
 * is all that is left. Rejects when aborted, or when a file cannot be read.
 */
export async function warmTree(tree: string, options: WarmOptions = {}): Promise<Warmed> {
  const { signal, memory = readMemory } = options;
  const buffer = Buffer.allocUnsafe(pieceBytes);
  let bytes = 0;
  for (const path of await loadOrder(tree)) {
    await using file = await open(join(tree, path), "r");
    for (let done = false; !done; ) {
      signal?.throwIfAborted();
      const { available, total } = await memory();
      if (available - pieceBytes < total * keptShare) return { bytes, stoppedEarly: true };
      const { bytesRead } = await file.read(buffer, 0, pieceBytes, null);
      bytes += bytesRead;
      done = bytesRead < pieceBytes;
    }
  }
  return { bytes, stoppedEarly: false };
}

/** Paths below a tree, in load order. */
export async function loadOrder(tree: string): Promise<string[]> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(tree, join(entry.parentPath, entry.name)))
    .sort(comparePaths);
  const indexes = paths.filter((path) => path.endsWith(".safetensors.index.json"));
  const named = (await Promise.all(indexes.map((path) => shardsOf(join(tree, path))))).flat();
  const shards = new Map(named.map((path, at) => [path, at]));
  const sizes = new Map<string, number>();
  for (const path of paths) sizes.set(path, (await stat(join(tree, path))).size);
  const rank = (path: string) => shards.get(path) ?? -1;
  return paths.sort(
    (a, b) => rank(a) - rank(b) || (sizes.get(a) ?? 0) - (sizes.get(b) ?? 0) || comparePaths(a, b),
  );
}

/** Files in the order in which an index first names them. */
async function shardsOf(path: string): Promise<string[]> {
  const index = parseOrUndefined(await readFile(path, "utf8"));
  const map = isRecord(index) ? index["weight_map"] : undefined;
  if (!isRecord(map)) return [];
  return [...new Set(Object.values(map).filter((file) => typeof file === "string"))];
}

/** `MemAvailable` and `MemTotal` of Linux; where there are none, memory never runs short. */
async function readMemory(): Promise<{ available: number; total: number }> {
  const text = (await readFile("/proc/meminfo", "utf8").catch(undefinedIfMissing)) ?? "";
  const read = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) * 1024;
  const [available, total] = [read("MemAvailable"), read("MemTotal")];
  return Number.isNaN(available)
    ? { available: Number.POSITIVE_INFINITY, total: 0 }
    : { available, total };
}
