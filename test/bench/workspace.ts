import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { removeFolder } from "./remove-folder.ts";
import { unmountBelow } from "./unmount.ts";

const prefix = "ballast-bench-";
/** What must stay free for the programs themselves. */
const spareBytes = 3_221_225_472;
/** Linux: TMPFS_MAGIC of statfs(2). */
const tmpfsType = 0x01021994;

/** The folders of one run, gone when it is disposed. */
export interface Workspace extends AsyncDisposable {
  /** For models, registries and outputs: in memory where there is enough of it. */
  readonly fast: string;
  /** On a disk, for what must not depend on memory. */
  readonly disk: string;
  /** The kind of file system of `fast`, and why it is not tmpfs if it is not. */
  readonly filesystem: string;
}

export interface WorkspaceOptions {
  /** Most bytes that lie in it at a time. */
  readonly dataBytes: number;
  /** The folder to use in place of one in memory. */
  readonly folder: string | undefined;
  /** For what must be on a disk; `.cache/bench`. */
  readonly cache: string;
}

/** Makes the folders. Rejects when there is no room, with the numbers. */
export async function openWorkspace(options: WorkspaceOptions): Promise<Workspace> {
  const { dataBytes, folder, cache } = options;
  const { place, refusals } = await choosePlace(options);
  if (place === undefined)
    throw new Error(
      `no room for the data of the bench (${mebi(dataBytes)} MiB):\n  ${refusals.join("\n  ")}\n--only chooses rows that need less, --folder another place, --smoke a small model`,
    );
  const disk = await makeFolder(cache);
  const fast = place === cache ? disk : await makeFolder(place);
  const type = await filesystemOf(fast);
  const why = folder === undefined ? refusals : ["as asked"];
  return {
    fast,
    disk,
    filesystem: type === "tmpfs" ? type : `${type} (${why.join("; ")})`,
    async [Symbol.asyncDispose]() {
      await removeFolder(fast);
      await removeFolder(disk);
    },
  };
}

/** The folder that was asked for, else memory, else the disk. */
async function choosePlace({ dataBytes, folder, cache }: WorkspaceOptions) {
  const places =
    folder === undefined
      ? [
          { place: "/dev/shm", needsMemory: true },
          { place: tmpdir(), needsMemory: true },
          { place: cache, needsMemory: false },
        ]
      : [{ place: resolve(folder), needsMemory: false }];
  const refusals: string[] = [];
  for (const { place, needsMemory } of places) {
    const refusal = await refuse(place, dataBytes, needsMemory);
    if (refusal === undefined) return { place, refusals };
    refusals.push(refusal);
  }
  return { place: undefined, refusals };
}

/** Why the data cannot lie in `place`; undefined when they can. */
async function refuse(
  place: string,
  dataBytes: number,
  needsMemory: boolean,
): Promise<string | undefined> {
  if (!existsSync(place)) return `there is no ${place}`;
  const { type, bavail, bsize } = await statfs(place);
  const isTmpfs = type === tmpfsType;
  if (needsMemory && !isTmpfs) return `${place} is no tmpfs`;
  if (bavail * bsize < dataBytes)
    return `${mebi(bavail * bsize)} of ${mebi(dataBytes)} MiB free in ${place}`;
  const available = await availableMemory();
  if (isTmpfs && available < dataBytes + spareBytes)
    return `${mebi(available)} of ${mebi(dataBytes + spareBytes)} MiB of memory available for ${place}`;
  return undefined;
}

/** Removes what runs left that were killed. */
export async function sweepWorkspaces(places: readonly string[]): Promise<void> {
  for (const place of ["/dev/shm", tmpdir(), ...places])
    for (const name of await readdir(place).catch(() => [])) {
      const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN;
      if (!Number.isInteger(pid) || existsSync(`/proc/${pid}`)) continue;
      await unmountBelow(join(place, name));
      await removeFolder(join(place, name));
    }
}

async function makeFolder(place: string): Promise<string> {
  const path = join(place, `${prefix}${process.pid}`);
  await mkdir(path, { recursive: true });
  return path;
}

async function availableMemory(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8");
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

/** The type of the file system that holds `path`, as /proc/mounts spells it. */
async function filesystemOf(path: string): Promise<string> {
  const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").flatMap((line) => {
    const [, point = "", type = ""] = line.split(" ");
    return point === "/" || path === point || path.startsWith(`${point}/`) ? { point, type } : [];
  });
  return mounts.toSorted((a, b) => a.point.length - b.point.length).at(-1)?.type ?? "unknown";
}

function mebi(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
