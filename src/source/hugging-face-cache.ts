import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { ModelError, systemCode } from "../core/errors.ts";
import { pathProblem, quotePath } from "../core/model-path.ts";
import type { Origin } from "./source.ts";
import { unreadable } from "./source-errors.ts";

const repositoryPattern = /^(?:models|datasets|spaces)--(.+)$/;

/** A folder `models--org--name` of a Hugging Face cache: `refs/`, `snapshots/<commit>/`, `blobs/`. */
export interface CacheRepository {
  readonly root: string;
  /** `org/name`. */
  readonly huggingFaceId: string;
}

/** The cache repository that `directory`, a real path, is or lies in; undefined if it is in none. */
export async function findCacheRepository(directory: string): Promise<CacheRepository | undefined> {
  const segments = directory.split(sep);
  const at = segments.findLastIndex((segment, index) => {
    const below = segments[index + 1];
    return repositoryPattern.test(segment) && (below === undefined || below === "snapshots");
  });
  const id = repositoryPattern.exec(segments[at] ?? "")?.[1]?.replace("--", "/");
  const root = segments.slice(0, at + 1).join(sep);
  if (id === undefined || !(await isFolder(join(root, "snapshots")))) return undefined;
  return { root, huggingFaceId: id };
}

/** The repository and commit that a folder at or below `snapshots/<commit>` is a copy of. */
export function originOf(repository: CacheRepository, folder: string): Origin {
  const revision = folder.slice(repository.root.length).split(sep)[2];
  return {
    huggingFaceId: repository.huggingFaceId,
    ...(revision === undefined ? {} : { revision }),
  };
}

/**
 * The snapshot folder that `revision` (a ref such as `main` or `refs/pr/1`, or the start of a
 * commit) names; without one `main`, else the only snapshot. Rejects with INVALID_ARGUMENT and the
 * list of what is there when the choice is open, with SOURCE_EMPTY when nothing is.
 */
export async function findSnapshot(
  { root, huggingFaceId }: CacheRepository,
  revision?: string,
): Promise<string> {
  const names = await list(join(root, "snapshots"));
  const snapshots = names.filter((name) => !name.startsWith(".")).sort();
  if (snapshots.length === 0)
    throw new ModelError("SOURCE_EMPTY", `source ${quotePath(root)} holds no snapshot`, {
      hint: `download one first: hf download ${huggingFaceId}`,
    });
  const commit = await readRef(root, revision ?? "main");
  const start = commit ?? revision ?? "";
  const chosen = snapshots.includes(start)
    ? [start]
    : snapshots.filter((name) => name.startsWith(start));
  const [snapshot] = chosen;
  if (snapshot !== undefined && chosen.length === 1) return join(root, "snapshots", snapshot);
  const what = revision === undefined ? "its default revision" : `revision ${quotePath(revision)}`;
  const why = chosen.length === 0 ? "is not there" : "could be any of several snapshots";
  throw new ModelError("INVALID_ARGUMENT", `source ${quotePath(root)}: ${what} ${why}`, {
    hint: `choose with --revision: ${snapshots.slice(0, 20).join(", ")}`,
  });
}

/**
 * Rejects with SOURCE_UNREADABLE while a download into this repository is unfinished: a snapshot
 * has no link yet for a file that is on its way, and would be packed without it.
 */
export async function refuseUnfinishedDownload(repository: CacheRepository): Promise<void> {
  const blobs = new Set(await list(join(repository.root, "blobs")));
  for (const name of blobs) {
    const isPart = name.endsWith(".incomplete");
    if (!isPart || blobs.has(name.slice(0, name.indexOf(".")))) continue;
    throw new ModelError(
      "SOURCE_UNREADABLE",
      `source ${quotePath(repository.root)} is not downloaded to the end: blobs/${name}`,
      { hint: `finish it (hf download ${repository.huggingFaceId}) or delete that blob` },
    );
  }
}

/** The commit in `refs/<name>`; undefined if there is no such ref. */
async function readRef(root: string, name: string): Promise<string | undefined> {
  const path = join(root, "refs", name);
  if (pathProblem(name) !== undefined) return undefined;
  try {
    const commit = (await readFile(path, "utf8")).trim();
    return basename(commit) === commit && commit !== "" ? commit : undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(systemCode(error) ?? "")) return undefined;
    throw unreadable(path, error);
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw unreadable(folder, error);
  }
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch((error: unknown) => {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined;
    throw unreadable(path, error);
  });
  return stats?.isDirectory() ?? false;
}
