import { realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { forEachConcurrently } from "../core/concurrently.ts";
import { ModelError } from "../core/errors.ts";
import { caseCollisions, checkModelPaths, quotePath } from "../core/model-path.ts";
import type { Abortable } from "../core/progress.ts";
import { createPathFilter, type Selection } from "../core/selection.ts";
import { stampReadableFile } from "./file-stamp.ts";
import {
  type CacheRepository,
  findCacheRepository,
  findSnapshot,
  originOf,
  refuseUnfinishedDownload,
} from "./hugging-face-cache.ts";
import type { Origin, Source, SourceFile } from "./source.ts";
import { unreadable } from "./source-errors.ts";
import { type FoundFile, findFiles } from "./walk.ts";

/** Files opened at once; each is one descriptor. */
const filesAtOnce = 32;
const shownCollisions = 10;

export interface ListOptions extends Selection, Abortable {
  /** Follow links that lead out of the source, too. */
  readonly followLinks?: boolean | undefined;
  /** For a Hugging Face cache folder: a ref name or the start of a commit; default `main`. */
  readonly revision?: string | undefined;
}

/**
 * Lists the selected files of a folder, of a Hugging Face cache folder (`models--org--name`, or a
 * snapshot in it) or of one file, each opened once, so that what cannot be read is known before
 * anything is uploaded. Rejects with SOURCE_UNREADABLE, SOURCE_EMPTY, SOURCE_UNSUPPORTED (devices,
 * links that lead out), INVALID_PATH (names) or INVALID_ARGUMENT (revision).
 */
export async function listDirectory(directory: string, options: ListOptions = {}): Promise<Source> {
  const place = await findPlace(resolve(directory), options.revision);
  const name = place.origin?.huggingFaceId ?? basename(resolve(directory));
  const found = place.isFile ? selectOne(place, options) : await selectBelow(place, options);
  if (found.length === 0)
    throw new ModelError("SOURCE_EMPTY", `source ${quotePath(directory)} has no file to pack`, {
      hint: options.include?.length || options.exclude?.length ? "widen the selection" : undefined,
    });
  checkNames(found, directory);
  const files = await stampFiles(found, options);
  const warnings = caseWarnings(files.map((file) => file.path));
  return { name, files, warnings, ...(place.origin === undefined ? {} : { origin: place.origin }) };
}

/** Where the files are: one file, or all below a folder. */
interface Place {
  /** The path of the file in the model; unused for a folder. */
  readonly path: string;
  /** Real path. */
  readonly location: string;
  readonly isFile: boolean;
  readonly repository: CacheRepository | undefined;
  readonly origin: Origin | undefined;
}

async function findPlace(directory: string, revision: string | undefined): Promise<Place> {
  const path = basename(directory).normalize();
  const { location, isFile, isFolder } = await identify(directory);
  if (!isFile && !isFolder)
    throw new ModelError(
      "SOURCE_UNSUPPORTED",
      `source ${quotePath(directory)} is neither a folder nor a regular file`,
    );
  const folder = isFile ? await realpath(dirname(directory)) : location;
  const repository = await findCacheRepository(folder);
  if (repository === undefined || isFile || !isAbove(folder, repository)) {
    if (revision !== undefined)
      throw new ModelError(
        "INVALID_ARGUMENT",
        `source ${quotePath(directory)} is no Hugging Face cache folder, so it has no revisions`,
        { hint: "give the folder models--org--name, or leave out --revision" },
      );
    const origin = repository && originOf(repository, folder);
    return { path, location, isFile, repository, origin };
  }
  const snapshot = await findSnapshot(repository, revision);
  const origin = originOf(repository, snapshot);
  return { path, location: snapshot, isFile, repository, origin };
}

async function identify(
  path: string,
): Promise<{ location: string; isFile: boolean; isFolder: boolean }> {
  try {
    const location = await realpath(path);
    const stats = await stat(location);
    return { location, isFile: stats.isFile(), isFolder: stats.isDirectory() };
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Tells whether all snapshots lie below `folder`: one of them has to be chosen. */
function isAbove(folder: string, { root }: CacheRepository): boolean {
  return folder === root || folder === join(root, "snapshots");
}

function selectOne({ path, location }: Place, options: ListOptions): FoundFile[] {
  return createPathFilter(options)(path) ? [{ path, location }] : [];
}

async function selectBelow(place: Place, options: ListOptions): Promise<FoundFile[]> {
  const { location, repository } = place;
  if (repository !== undefined) await refuseUnfinishedDownload(repository);
  const roots = repository === undefined ? [location] : [location, repository.root];
  const { include, exclude, signal, followLinks = false } = options;
  const found = await findFiles(location, { include, exclude, signal, followLinks, roots });
  const keyed = found.map((file) => ({ file, key: Buffer.from(file.path) }));
  return keyed.sort((a, b) => Buffer.compare(a.key, b.key)).map(({ file }) => file);
}

function checkNames(sorted: readonly FoundFile[], directory: string): void {
  const twin = sorted.find((file, at) => file.path === sorted[at + 1]?.path);
  if (twin !== undefined)
    throw new ModelError(
      "INVALID_PATH",
      `source ${quotePath(directory)} has two files that are both ${quotePath(twin.path)} in Unicode NFC form`,
      { hint: "rename one of them" },
    );
  checkModelPaths(
    sorted.map((file) => file.path),
    `source ${quotePath(directory)}`,
  );
}

async function stampFiles(
  found: readonly FoundFile[],
  { signal }: Abortable,
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  await forEachConcurrently(found.entries(), filesAtOnce, async ([at, { path, location }]) => {
    signal?.throwIfAborted();
    const stamp = await stampReadableFile(location).catch((error: unknown) => {
      throw unreadable(location, error);
    });
    if (stamp === undefined)
      throw new ModelError(
        "SOURCE_CHANGED",
        `source file ${quotePath(path)} is no regular file any more`,
      );
    files[at] = { path, size: stamp.size, location, stamp };
  });
  return files;
}

function caseWarnings(paths: readonly string[]): string[] {
  const groups = caseCollisions(paths);
  const rest = groups.length - shownCollisions;
  const shown = groups
    .slice(0, shownCollisions)
    .map((group) => `${group.map(quotePath).join(" and ")} differ only in case`);
  return rest > 0 ? [...shown, `${rest} more names differ only in case`] : shown;
}
