import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { systemCode } from "../../../src/core/errors.ts";
import { createPathFilter, selectionId } from "../../../src/core/selection.ts";
import { contents, type Target, targets } from "./catalogue.ts";

/** Which files a pull wants: all, or some. */
export const selections = { all: {}, some: { exclude: ["config.json", "secret"] } } as const;
export type SelectionName = keyof typeof selections;

/** Looks at all that a reader of a store can see. */
export interface Watch {
  /** Looks at what was not there at the last look; `again` looks at everything. Throws when a byte is wrong. */
  look(again?: boolean): void;
}

/** Bytes by path that each tree shows, by `tree id/selection`. */
const trees = new Map<string, ReadonlyMap<string, Buffer>>(
  targets.flatMap((target) =>
    (["all", "some"] as const).map((selection) => {
      const chosen = chosenFiles(target, selection);
      const name = selectionId([...chosen.keys()], [...target.model.files.keys()]);
      return [`${target.treeId}/${name}`, chosen] as const;
    }),
  ),
);

/** Bytes by path of the files that a selection of a model has. */
export function chosenFiles(
  { model }: Target,
  selection: SelectionName,
): ReadonlyMap<string, Buffer> {
  const chooses = createPathFilter(selections[selection]);
  return new Map([...model.files].filter(([path]) => chooses(path)));
}

/** Begins to watch the store at `root`. */
export function createWatch(root: string): Watch {
  let known = new Map<string, number>();
  return {
    look: (again = false) => {
      const seen = new Map<string, number>();
      const isNew = (path: string) => {
        const inode = statSync(path, { throwIfNoEntry: false })?.ino;
        if (inode === undefined) return false;
        seen.set(path, inode);
        return again || known.get(path) !== inode;
      };
      for (const id of namesIn(join(root, "files"))) {
        const path = join(root, "files", id);
        if (isNew(path)) checkFile(path, contents.get(id));
      }
      for (const path of findTrees(root)) {
        if (isNew(path)) checkTree(path, path.split("/").slice(-3, -1).join("/"));
      }
      known = seen;
    },
  };
}

/** Paths of the trees that a store shows. */
export function findTrees(root: string): string[] {
  const top = join(root, "trees");
  return namesIn(top)
    .flatMap((tree) => namesIn(join(top, tree)).map((name) => join(top, tree, name, "tree")))
    .filter((path) => existsSync(path));
}

/** Throws unless the files of a tree below `top` are there with their bytes. */
export function checkTreeBytes(top: string, files: ReadonlyMap<string, Buffer>): void {
  for (const [path, expected] of files)
    if (!readFileSync(join(top, path)).equals(expected))
      throw new Error(`wrong bytes: ${top}/${path}`);
}

function checkFile(path: string, expected: Buffer | undefined): void {
  const found = lookUnlessGone(path, () => ({
    bytes: readFileSync(path),
    mode: statSync(path).mode & 0o777,
  }));
  if (found === undefined) return;
  if (expected === undefined || !found.bytes.equals(expected))
    throw new Error(`unverified bytes are visible: ${path}`);
  if (found.mode !== 0o444) throw new Error(`${path} has mode ${found.mode.toString(8)}`);
}

function checkTree(path: string, name: string): void {
  const files = trees.get(name);
  if (files === undefined) throw new Error(`a tree of nothing: ${path}`);
  lookUnlessGone(path, () => {
    checkTreeBytes(path, files);
    const entries = readdirSync(path, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    const expected = [...files.keys()].map((file) => join(path, file));
    if (!isDeepStrictEqual(paths.sort(), expected.sort()))
      throw new Error(`more than its files: ${path}`);
  });
}

/** What is being removed may vanish while it is looked at, as a whole. */
function lookUnlessGone<T>(path: string, look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (systemCode(error) === "ENOENT" && !existsSync(path)) return undefined;
    throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    return [];
  }
}
