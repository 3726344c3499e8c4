import { resolve } from "node:path";
import { makeFolder } from "../../core/make-folder.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import { createIngestThreads } from "../../oci/layout/ingest-threads.ts";
import type { RegistryLimits } from "./limits.ts";
import { type PruningOptions, startPruning } from "./pruning.ts";
import { openRepositories, type Repositories } from "./repositories.ts";
import { openReserve, type Reserve } from "./reserve.ts";
import { lockRoot } from "./root-lock.ts";
import { UploadSessions } from "./upload-sessions.ts";

export interface RootOptions extends Abortable {
  readonly root: string;
  readonly limits: RegistryLimits;
  /** Collects garbage while it is open; undefined for never. */
  readonly pruning: PruningOptions | undefined;
}

/** The folder of a registry, held by this process alone. Disposing lets it go; uploads stay to go on. */
export interface RegistryRoot extends AsyncDisposable {
  readonly repositories: Repositories;
  readonly uploads: UploadSessions;
  /** What a full disk leaves for removals. */
  readonly reserve: Reserve;
}

/** Opens the folder, makes it where missing. Rejects with STORE_LOCKED when another process serves it. */
export async function openRoot({
  root,
  limits,
  pruning,
  signal,
}: RootOptions): Promise<RegistryRoot> {
  await onDisk(`creation of ${root}`, () => makeFolder(resolve(root)));
  await using cleanups = new AsyncDisposableStack();
  const lock = await lockRoot(root, { signal });
  if (lock !== undefined) cleanups.use(lock);
  const reserve = cleanups.use(await openReserve(root));
  const repositories = cleanups.use(await openRepositories(root));
  const threads = cleanups.use(createIngestThreads());
  const uploads = cleanups.use(
    new UploadSessions(repositories, {
      maxUploads: limits.maxUploads ?? 1000,
      idleMs: limits.uploadIdleMs ?? 86_400_000,
      threads,
    }),
  );
  if (pruning !== undefined) cleanups.use(startPruning(repositories, pruning));
  const owned = cleanups.move();
  return {
    repositories,
    uploads,
    reserve,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
