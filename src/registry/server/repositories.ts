import { access, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { isRepository } from "../../core/reference.ts";
import { onDisk } from "../../core/system-error.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { openLayout } from "../../oci/layout/open-layout.ts";
import { createUploadFolder } from "../../oci/layout/upload-folder.ts";
import { ProtocolError } from "./errors.ts";

/** The repositories of a registry: one OCI layout each, in one folder. */
export interface Repositories extends AsyncDisposable {
  /** Undefined when nothing was ever written to it. `name` must be checked. */
  find(name: string): Promise<OciLayout | undefined>;
  /** Makes the repository if it is not there. */
  create(name: string): Promise<OciLayout>;
}

/** Opens the folder, makes it where missing, and removes the uploads of dead processes. */
export async function openRepositories(root: string): Promise<Repositories> {
  const directory = resolve(root);
  const open = new Map<string, OciLayout>();
  await onDisk(`creation of ${root}`, () => makeFolder(directory));
  await onDisk(`sweep of ${root}`, () => sweepUploads(directory));

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

  return { find, create, [Symbol.asyncDispose]: dispose };
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

/** "+" cannot be in a repository's name, so that no two names share a folder. */
function layoutPath(directory: string, name: string): string {
  return join(directory, name.replaceAll("/", "+"));
}

async function sweepUploads(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || !isRepository(entry.name.replaceAll("+", "/"))) continue;
    const uploads = createUploadFolder(join(directory, entry.name));
    await uploads.sweep();
    await uploads.removeIfEmpty();
  }
}

async function isThere(path: string): Promise<boolean> {
  return (
    (await access(path)
      .then(() => true)
      .catch(undefinedIfMissing)) ?? false
  );
}
