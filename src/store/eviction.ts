import { statfs } from "node:fs/promises";
import { ModelError } from "../core/errors.ts";
import { countOwners, type Needs } from "./model-needs.ts";
import type { StoredRecord } from "./model-record.ts";

/** When eviction begins and how far it goes: from one side of `high` and `low` to the other. */
interface Watermark {
  readonly high: number;
  readonly low: number;
}

/** Each one that is crossed is obeyed; the others change nothing. */
export interface Watermarks {
  /** Bytes of all files: above `high` models go until `low` is left. */
  readonly bytes?: Watermark | undefined;
  /** Free bytes of the filesystem, less what is promised: below `low` models go until `high` are free. */
  readonly freeBytes?: Watermark | undefined;
  /** Free inodes of the filesystem: below `low` models go until `high` are free. */
  readonly freeInodes?: Watermark | undefined;
}

/** What the watermarks are held against. */
export interface Usage {
  readonly bytes: number;
  readonly freeBytes: number;
  readonly freeInodes: number;
}

/** What has to go: zero or less where there is enough. */
export interface Shortage {
  readonly bytes: number;
  /** Files, an inode each. */
  readonly files: number;
}

/** What has to go to obey the watermarks. Throws INVALID_ARGUMENT when one's low is above its high. */
export function shortageOf(watermarks: Watermarks, usage: Usage): Shortage {
  const { bytes, freeBytes, freeInodes } = watermarks;
  for (const [name, mark] of Object.entries({ bytes, freeBytes, freeInodes }))
    if (mark !== undefined && !(mark.low <= mark.high))
      throw new ModelError("INVALID_ARGUMENT", `watermark ${name}: low is not at most high`);
  const over = bytes !== undefined && usage.bytes > bytes.high ? usage.bytes - bytes.low : 0;
  const short = (mark: Watermark | undefined, free: number) =>
    mark !== undefined && free < mark.low ? mark.high - free : 0;
  return {
    bytes: Math.max(over, short(freeBytes, usage.freeBytes)),
    files: short(freeInodes, usage.freeInodes),
  };
}

/** What is free on the filesystem that holds `root`. */
export async function freeSpace(root: string): Promise<Pick<Usage, "freeBytes" | "freeInodes">> {
  const { bavail, bsize, files, ffree } = await statfs(root);
  // Filesystems that make inodes as they need them count none.
  return { freeBytes: bavail * bsize, freeInodes: files === 0 ? Infinity : ffree };
}

/** The fewest of `candidates`, least recently used first, without which there is enough. */
export function chooseVictims(
  needs: Needs,
  candidates: readonly StoredRecord[],
  { shortage, sizes }: { shortage: Shortage; sizes: ReadonlyMap<string, number> },
): StoredRecord[] {
  const owners = countOwners(needs);
  let { bytes, files } = shortage;
  const victims: StoredRecord[] = [];
  const oldestFirst = candidates.toSorted((a, b) => a.lastUsed.getTime() - b.lastUsed.getTime());
  for (const victim of oldestFirst) {
    if (bytes <= 0 && files <= 0) break;
    victims.push(victim);
    for (const path of needs.get(victim) ?? []) {
      const left = (owners.get(path) ?? 1) - 1;
      owners.set(path, left);
      if (left > 0) continue;
      bytes -= sizes.get(path) ?? 0;
      files -= 1;
    }
  }
  return victims;
}
