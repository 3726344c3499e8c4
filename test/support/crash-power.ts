import { open, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { journalHeader } from "../../src/store/journal.ts";
import type { Step } from "./crash-tracer.ts";

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Bytes that were written and not synced, by path. */
type Unsynced = Map<string, Range[]>;

const anotherBoot = "11111111-2222-4333-8444-555555555555";

/**
 * Makes of `folder`, a copy of `root` at that time, what power loss could leave after these steps: names, lengths
 * and times as they were, zeros where bytes were not synced; and the boot is another. Journals stay:
 * they are newer than the bytes they speak of. False when that changes nothing that counts.
 */
export async function losePower(
  folder: string,
  { root, steps }: { readonly root: string; readonly steps: readonly Step[] },
): Promise<boolean> {
  let lost = false;
  for (const [path, ranges] of unsyncedAfter(steps)) {
    // The reserve holds nothing that anybody reads.
    if (["journal", "reserve"].includes(basename(path))) continue;
    lost = (await zero(join(folder, path.slice(root.length)), ranges)) || lost;
  }
  for (const name of await readdir(folder, { recursive: true }))
    if (basename(name) === "journal") lost = (await changeBoot(join(folder, name))) || lost;
  return lost;
}

/** Lets a journal say that it was written in another boot. */
async function changeBoot(path: string): Promise<boolean> {
  const [, ...records] = (await readFile(path, "utf8")).split("\n");
  // Killed in the middle of its first line it says nothing about any boot.
  if (records.length === 0) return false;
  await writeFile(path, `${journalHeader(anotherBoot)}${records.join("\n")}`);
  return true;
}

async function zero(path: string, ranges: readonly Range[]): Promise<boolean> {
  const before = await stat(path).catch(() => undefined);
  if (before === undefined) return false;
  {
    await using file = await open(path, "r+");
    for (const { from, to } of ranges) {
      const length = Math.min(to, before.size) - from;
      if (length > 0) await file.write(Buffer.alloc(length), 0, length, from);
    }
  }
  await utimes(path, before.atime, before.mtime);
  return true;
}

function unsyncedAfter(steps: readonly Step[]): Unsynced {
  const unsynced: Unsynced = new Map();
  for (const step of steps) apply(unsynced, step);
  return unsynced;
}

function apply(unsynced: Unsynced, { call, path, to = "", offset = 0, bytes }: Step): void {
  switch (call) {
    case "syncfs":
      return unsynced.clear();
    case "fsync":
    case "fdatasync":
    case "unlink":
    case "unlinkat":
      return void unsynced.delete(path);
    case "rename":
    case "renameat":
    case "renameat2":
      return move(unsynced, path, to);
    case "link":
    case "linkat":
      return add(unsynced, to, unsynced.get(path) ?? []);
    case "write":
    case "pwrite64":
      return add(unsynced, path, [{ from: offset, to: offset + (bytes ?? 0) }]);
    case "copy_file_range":
    case "sendfile":
    case "ioctl":
    case "writev":
    case "pwritev":
      return add(unsynced, path, [{ from: 0, to: Infinity }]);
    default:
      return undefined;
  }
}

function add(unsynced: Unsynced, path: string, ranges: readonly Range[]): void {
  if (ranges.length > 0) unsynced.set(path, [...(unsynced.get(path) ?? []), ...ranges]);
}

/** Moves a file, or all below a folder; what was at the new name is gone. */
function move(unsynced: Unsynced, from: string, to: string): void {
  unsynced.delete(to);
  for (const [path, ranges] of Array.from(unsynced)) {
    if (path !== from && !path.startsWith(`${from}/`)) continue;
    unsynced.delete(path);
    unsynced.set(to + path.slice(from.length), ranges);
  }
}
