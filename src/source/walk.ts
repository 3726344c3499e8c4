import { type Buffer, isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { indexLimits } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import { pathProblem, quotePath } from "../core/model-path.ts";
import type { Abortable } from "../core/progress.ts";
import { createPathFilter, type Selection } from "../core/selection.ts";
import { checkLink, followLink, type LinkRules } from "./links.ts";
import { unreadable } from "./source-errors.ts";

/**
 * Never packed, in whatever folder they stand: what version control, this program, downloads and
 * file managers leave behind. Any other hidden file belongs to the model.
 */
const skippedNames: ReadonlySet<string> = new Set([
  ".git",
  ".ballast",
  ".DS_Store",
  "Thumbs.db",
  "desktop.ini",
  "lost+found",
]);
/** Like `skippedNames`, for a path at the end of a path. */
const skippedPath = ".cache/huggingface";

const foldersAtOnce = 16;

/** A file that belongs to the model; nothing but its folder's entry was read. */
export interface FoundFile {
  /** Model path, NFC. */
  readonly path: string;
  /** Absolute path, behind links. */
  readonly location: string;
}

export interface WalkOptions extends Selection, LinkRules, Abortable {}

interface Folder extends FoundFile {
  readonly parent: Folder | undefined;
}

interface Walk {
  readonly found: FoundFile[];
  readonly folders: Folder[];
  readonly rules: LinkRules;
  readonly isWanted: (path: string) => boolean;
  readonly isExcluded: (path: string) => boolean;
}

/**
 * Finds the selected files below `root`, a real path, in no order. Rejects with INVALID_PATH for a
 * name that no model can have, SOURCE_UNSUPPORTED for devices, sockets, fifos, circles and links
 * that lead out, SOURCE_UNREADABLE for folders and links that cannot be read.
 */
export async function findFiles(root: string, options: WalkOptions): Promise<FoundFile[]> {
  const isExcludedFrom = createPathFilter({ exclude: options.exclude });
  const found: FoundFile[] = [];
  const walk = {
    found,
    rules: options,
    isWanted: createPathFilter(options),
    isExcluded: (path: string) => !isExcludedFrom(path),
  };
  let level: Folder[] = [{ path: "", location: root, parent: undefined }];
  for (let seen = 0; level.length > 0; seen += level.length) {
    const next: Folder[] = [];
    await forEachConcurrently(level, foldersAtOnce, async (folder) => {
      options.signal?.throwIfAborted();
      await walkFolder(folder, { ...walk, folders: next });
      checkCount(root, seen + next.length + found.length);
    });
    level = next;
  }
  return found;
}

async function walkFolder(folder: Folder, walk: Walk): Promise<void> {
  for (const entry of await readFolder(folder.location)) {
    const name = decodeName(entry.name, folder);
    const path = folder.path === "" ? name.normalize() : `${folder.path}/${name.normalize()}`;
    if (skippedNames.has(name) || `/${path}`.endsWith(`/${skippedPath}`)) continue;
    const place = { path, location: join(folder.location, name) };
    if (entry.isDirectory()) addFolder({ ...place, parent: folder }, walk);
    else if (entry.isSymbolicLink()) await addLink({ ...place, parent: folder }, walk);
    else if (walk.isWanted(path)) addFile(place, entry.isFile(), walk);
  }
}

/** Adds what the link at `link.location` leads to, under the link's path. */
async function addLink(link: Folder, walk: Walk): Promise<void> {
  if (walk.isExcluded(link.path)) return;
  const isWanted = walk.isWanted(link.path);
  const target = await followLink(link.location).catch((error: unknown) => {
    // A file that was not asked for may be missing; a folder may hold some that were.
    if (isWanted || !isModelError(error, "SOURCE_UNREADABLE")) throw error;
    return undefined;
  });
  if (target === undefined || (target.kind !== "folder" && !isWanted)) return;
  checkLink(link.location, target, walk.rules);
  const { path, parent } = link;
  const { kind, location } = target;
  if (kind === "folder") {
    refuseCircle(link, location);
    addFolder({ path, location, parent }, walk);
  } else addFile({ path, location }, kind === "file", walk);
}

function refuseCircle(link: Folder, target: string): void {
  for (let above = link.parent; above !== undefined; above = above.parent)
    if (above.location === target)
      throw unsupported(link.location, "is a link to a folder that it is in", "--exclude it");
}

function addFile(file: FoundFile, isRegular: boolean, walk: Walk): void {
  if (!isRegular)
    throw unsupported(file.location, "is a device, socket or fifo", "remove it, or --exclude it");
  if (file.location.endsWith(".incomplete") && !file.path.endsWith(".incomplete"))
    throw new ModelError(
      "SOURCE_UNREADABLE",
      `source file ${quotePath(file.path)} is not downloaded to the end: ${quotePath(file.location)}`,
      { hint: "finish the download first" },
    );
  walk.found.push(file);
}

function addFolder(folder: Folder, walk: Walk): void {
  const problem = pathProblem(folder.path);
  if (problem !== undefined)
    throw new ModelError("INVALID_PATH", `source folder ${quotePath(folder.path)} ${problem}`);
  walk.folders.push(folder);
}

async function readFolder(location: string): Promise<Dirent<Buffer>[]> {
  try {
    return await readdir(location, { encoding: "buffer", withFileTypes: true });
  } catch (error) {
    throw unreadable(location, error);
  }
}

function decodeName(name: Buffer, folder: FoundFile): string {
  if (isUtf8(name)) return name.toString("utf8");
  const shown = quotePath(join(folder.location, name.toString("latin1")));
  throw new ModelError("INVALID_PATH", `source file ${shown} has a name that is not UTF-8`, {
    hint: "rename it, for instance with convmv",
  });
}

function checkCount(root: string, count: number): void {
  if (count > indexLimits.files)
    throw unsupported(root, `has more than ${indexLimits.files} files and folders`, undefined);
}

function unsupported(location: string, why: string, hint: string | undefined): ModelError {
  return new ModelError("SOURCE_UNSUPPORTED", `source ${quotePath(location)} ${why}`, { hint });
}
