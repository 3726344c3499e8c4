import { access, opendir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { isRepository } from "../../core/reference.ts";
import { onDisk } from "../../core/system-error.ts";
import { createBlobFolder } from "../../oci/layout/blob-folder.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { openLayout } from "../../oci/layout/open-layout.ts";
import { createUploadFolder, type SessionFile } from "../../oci/layout/upload-folder.ts";
import { ProtocolError } from "./errors.ts";

/** The file of an upload session, and whose it is. */
interface LeftSession extends SessionFile {
  readonly repository: string;
}
/** A mount without a source is a favour: what it does not find is uploaded. */
const maxLooked = 1000;

/** The repositories of a registry: one OCI layout each, in one folder. */
export interface Repositories extends AsyncDisposable {
  /** The uploads that an earlier process has left unfinished. */
  readonly leftSessions: readonly LeftSession[];
  /** Undefined when nothing was ever written to it. `name` must be checked. */
  find(name: string): Promise<OciLayout | undefined>;
  /** The names of all that are there. */
  names(): AsyncIterable<string>;
  /** The names of those that have a blob; looks at no more than 1000 that `mayRead` allows. */
  holders(digest: ContentDigest, mayRead: (name: string) => boolean): AsyncIterable<string>;
  /** Makes the repository if it is not there. */
  create(name: string): Promise<OciLayout>;
}

/**
 * Opens the folder, makes it where missing, removes the uploads of dead processes, and finds those
 * that go on.
 */
export async function openRepositories(root: string): Promise<Repositories> {
  const directory = resolve(root);
  const open = new Map<string, OciLayout>();
  await onDisk(`creation of ${root}`, () => makeFolder(directory));
  const leftSessions = await onDisk(`sweep of ${root}`, () => sweepUploads(directory));

  const find = async (name: string) => {
    const path = layoutPath(directory, name);
    if (!(await isThere(join(path, "oci-layout")))) {
      open.delete(name);
      return undefined;
    }
    return open.get(name) ?? keep(name, await openLayout(path, { name }));
  };

  /** Two requests may open one at a time; both use the first: two would poll for the same lock. */
  const keep = (name: string, layout: OciLayout) => {
    const kept = open.get(name) ?? layout;
    open.set(name, kept);
    return kept;
  };

  const create = async (name: string) => {
    const known = await find(name);
    if (known !== undefined) return known;
    return keep(name, await openLayout(layoutPath(directory, name), { name, create: true }));
  };

  const dispose = async () => {
    for (const layout of open.values()) await layout[Symbol.asyncDispose]();
  };

  return {
    leftSessions,
    find,
    names: () => repositoryNames(directory),
    holders: (digest, mayRead) => findHolders(directory, digest, mayRead),
    create,
    [Symbol.asyncDispose]: dispose,
  };
}

/** The repository, or 404 NAME_UNKNOWN. */
export async function requireRepository(
  repositories: Repositories,
  name: string,
): Promise<OciLayout> {
  const layout = await repositories.find(name);
  if (layout !== undefined) return layout;
  throw new ProtocolError(404, { code: "NAME_UNKNOWN", message: `no repository ${name}` });
}

/** The names of the repositories in a registry's folder. */
export async function* repositoryNames(root: string): AsyncGenerator<string> {
  for await (const entry of await onDisk(`listing of ${root}`, () => opendir(root))) {
    const name = entry.name.replaceAll("+", "/");
    if (entry.isDirectory() && isRepository(name)) yield name;
  }
}

async function* findHolders(
  directory: string,
  digest: ContentDigest,
  mayRead: (name: string) => boolean,
): AsyncGenerator<string> {
  let looked = 0;
  for await (const name of repositoryNames(directory)) {
    if (!mayRead(name)) continue;
    const blobs = createBlobFolder(layoutPath(directory, name));
    if ((await blobs.stat(digest)) !== undefined) yield name;
    looked += 1;
    if (looked === maxLooked) return;
  }
}

/** The layout of a repository; "+" cannot be in its name, so that no two names share a folder. */
export function layoutPath(root: string, name: string): string {
  return join(resolve(root), name.replaceAll("/", "+"));
}

async function sweepUploads(directory: string): Promise<LeftSession[]> {
  const left: LeftSession[] = [];
  for await (const repository of repositoryNames(directory)) {
    const uploads = createUploadFolder(layoutPath(directory, repository));
    await uploads.sweep();
    for (const session of await uploads.sessions()) left.push({ repository, ...session });
    await uploads.removeIfEmpty();
  }
  return left;
}

async function isThere(path: string): Promise<boolean> {
  return (
    (await access(path)
      .then(() => true)
      .catch(undefinedIfMissing)) ?? false
  );
}
