import { join } from "node:path";
import { pathExists } from "../../core/absence.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { type Collection, collectLayout } from "../../oci/layout/garbage/collect.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { openLayout } from "../../oci/layout/open-layout.ts";
import { layoutPath, repositoryNames } from "./repositories.ts";

export interface PruneOptions extends Abortable {
  /** How long content stays that nothing reaches; default a day. */
  readonly graceMs?: number | undefined;
  /** Only says what would go. */
  readonly dryRun?: boolean | undefined;
}

/** What was collected in one repository, or why nothing was. */
type PrunedRepository =
  | ({ readonly repository: string } & Collection)
  | { readonly repository: string; readonly failure: PruneFailure };

type PruneFailure = Pick<ModelError, "code" | "message" | "hint">;

export interface PruneResult {
  readonly repositories: readonly PrunedRepository[];
  readonly freedBytes: number;
}

/**
 * Collects the garbage of every repository in a registry's folder (docs/registry.md), also while it
 * is served. A repository that cannot be judged is left as it is and told; the others go on.
 * Rejects with NOT_FOUND when there is no such folder, INVALID_ARGUMENT when it is a layout itself.
 */
export async function pruneRoot(root: string, options: PruneOptions = {}): Promise<PruneResult> {
  if (await pathExists(join(root, "oci-layout")))
    throw new ModelError("INVALID_ARGUMENT", `${root} is one OCI layout, not a registry's folder`, {
      hint: `say oci:${root}`,
    });
  if (!(await pathExists(root)))
    throw new ModelError("NOT_FOUND", `there is no folder ${root}`, {
      hint: "name the --root of the registry, on the host that serves it",
    });
  const names = await Array.fromAsync(repositoryNames(root));
  return pruneRepositories(names, (name) => openRepository(root, name), options);
}

/** The same for one OCI layout. Rejects when it cannot be judged. */
export async function pruneLayout(
  directory: string,
  options: PruneOptions = {},
): Promise<PruneResult> {
  await using layout = await openLayout(directory);
  const collection = await collectLayout(layout, options);
  const repositories = [{ repository: layout.name, ...collection }];
  return { repositories, freedBytes: collection.freedBytes };
}

/** The same for repositories that are open. `find` tells undefined for a folder of another kind. */
export async function pruneRepositories(
  names: readonly string[],
  find: (name: string) => Promise<OciLayout | undefined>,
  options: PruneOptions,
): Promise<PruneResult> {
  const repositories: PrunedRepository[] = [];
  const unlinked = new Map<string, number>();
  for (const repository of names.toSorted()) {
    options.signal?.throwIfAborted();
    try {
      const layout = await find(repository);
      if (layout === undefined) continue;
      const collection = await collectLayout(layout, { ...options, unlinked });
      repositories.push({ repository, ...collection });
    } catch (error) {
      if (!isModelError(error)) throw error;
      const { code, message, hint } = error;
      repositories.push({ repository, failure: { code, message, hint } });
    }
  }
  const freed = repositories.map((each) => ("failure" in each ? 0 : each.freedBytes));
  return { repositories, freedBytes: freed.reduce((sum, bytes) => sum + bytes, 0) };
}

async function openRepository(root: string, name: string): Promise<OciLayout | undefined> {
  try {
    return await openLayout(layoutPath(root, name), { name });
  } catch (error) {
    if (isModelError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
