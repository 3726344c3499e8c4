import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { digestOf } from "../../src/core/digest.ts";

/** What stands below a folder, by relative path: kind, mode, content. Equal states, equal maps. */
export type FolderState = ReadonlyMap<string, string>;

/** Describes a folder; what differs from run to run by design (times, random bytes) is left out. */
export async function describeState(root: string): Promise<FolderState> {
  const state = new Map<string, string>();
  const names = await readdir(root, { recursive: true }).catch(() => []);
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1)))
    state.set(name, await describe(join(root, name)));
  return state;
}

async function describe(path: string): Promise<string> {
  const found = await lstat(path);
  const mode = (found.mode & 0o777).toString(8);
  if (found.isDirectory()) return `folder ${mode}`;
  if (found.isSymbolicLink()) return `link to ${await readlink(path)}`;
  if (!found.isFile()) return "socket";
  return `file ${mode} ${describeContent(basename(path), await readFile(path))}`;
}

function describeContent(name: string, content: Buffer): string {
  if (name === "reserve") return `${content.byteLength} bytes`;
  // Ids in the order they were granted, after a kill some of them twice; other lines do not count.
  if (name.endsWith(".files"))
    return [...new Set(content.toString().match(/^[0-9a-f]{64}$/gm))].sort().join(" ");
  if (name === "pulled.json") return content.toString().replaceAll(/"mtimeMs":[0-9.]+/g, "");
  return digestOf(content);
}

/** What a reader takes for content and is as in none of the allowed states. */
export function wrongEntries(found: FolderState, allowed: readonly FolderState[]): string[] {
  return [...found]
    .filter(([path, what]) => !what.startsWith("folder") && isFinal(path))
    .filter(([path, what]) => !allowed.some((state) => isSame(state.get(path), what)))
    .map(([path, what]) => `${path}: ${what}`);
}

/** The same content: modes change while a file is moved to its place. */
function isSame(one: string | undefined, other: string): boolean {
  return one?.replace(/^file \d+/, "") === other.replace(/^file \d+/, "");
}

/** What is missing or wrong in trees of a store that are there. */
export function brokenTrees(found: FolderState, whole: readonly FolderState[]): string[] {
  const trees = [...found.keys()].filter((path) => /^trees\/[^/]+\/[^/]+\/tree$/.test(path));
  const isShown = (path: string) => trees.some((tree) => path.startsWith(`${tree}/`));
  return whole
    .flatMap((state) => [...state])
    .filter(([path, what]) => isShown(path) && found.get(path) !== what)
    .map(([path]) => path);
}

/** What was there before, is there at the end, and is not there now. */
export function lostEntries(found: FolderState, before: FolderState, whole: FolderState): string[] {
  return [...before]
    .filter(([path, what]) => isFinal(path) && whole.get(path) === what)
    .filter(([path, what]) => found.get(path) !== what)
    .map(([path]) => path);
}

/** What is there and should not be (`+`), and what should be and is not (`-`). */
export function differences(found: FolderState, expected: FolderState): string[] {
  const lines = (state: FolderState) => new Set([...state].map((entry) => entry.join(": ")));
  const [more, less] = [lines(found), lines(expected)];
  return [
    ...[...more.difference(less)].map((line) => `+ ${line}`),
    ...[...less.difference(more)].map((line) => `- ${line}`),
  ];
}

/** Whether what stands at `path` of a store, an output folder or a registry must be whole. */
function isFinal(path: string): boolean {
  if (/(?:^|\/)(?:ingest|trash|uploads|quarantine|placing)\//.test(path)) return false;
  return !/(?:^|\/)(?:\.?lock|\.?reserve|index\.json\.lock|unreachable\.json)[^/]*$|\.tmp-|\.files$/.test(
    path,
  );
}
