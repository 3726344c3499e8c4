import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { ModelProgress, ReadyModel } from "../agent/api/documents.ts";
import type { AgentClient } from "../agent/client/client.ts";
import { undefinedIfMissing } from "../core/absence.ts";
import { digestHex, digestOf } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { makeFolder } from "../core/make-folder.ts";
import type { Abortable } from "../core/progress.ts";
import { identityOf, lookAt, unmountAll } from "../mount/mount-point.ts";
import { openChild, openFolder } from "../mount/open-folder.ts";
import { mountReadOnly } from "../mount/read-only-mount.ts";

/** The model, or the files of it, that somebody wants to see. */
export interface MountWish {
  readonly reference: string;
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  readonly warm?: boolean | undefined;
}

export interface MountedModel extends ReadyModel {
  /** The folder, absolute. */
  readonly target: string;
}

/**
 * Leases a model and mounts it at a folder. Idempotent. Rejects as the agent does, with LEASE_EXISTS
 * for a folder that shows something else, INVALID_ARGUMENT for one that is not empty, MOUNT_FAILED.
 * A lease whose mount failed is ended again.
 */
export async function mountModel(
  agent: AgentClient,
  directory: string,
  { reference, include, exclude, warm }: MountWish,
  options: Abortable & { readonly onProgress?: (progress: ModelProgress) => void },
): Promise<MountedModel> {
  const target = await targetOf(directory);
  const above = await openParent(target);
  await using _ = above;
  const before = await lookAt(above, basename(target));
  if (before?.mounted !== true) await refuseFull(target);
  const id = leaseOf(target);
  const globs = { include: include && [...include], exclude: exclude && [...exclude] };
  const ready = await agent.acquire({ id, reference, target, warm, ...globs }, options);
  try {
    await attach(ready.tree, target);
  } catch (error) {
    if (before?.mounted !== true) await agent.release(id);
    throw error;
  }
  return { ...ready, target };
}

/** Takes every mount at a folder away and ends its lease. Idempotent. */
export async function unmountModel(
  agent: AgentClient,
  directory: string,
  { signal }: Abortable,
): Promise<{ readonly target: string; readonly mounts: number }> {
  const target = await targetOf(directory);
  await using above = await openParent(target);
  const mounts = await unmountAll(above, basename(target));
  await agent.release(leaseOf(target), { signal });
  return { target, mounts };
}

async function attach(tree: string, target: string): Promise<void> {
  await makeFolder(target);
  await using above = await openParent(target);
  await using shown = await openExisting(tree);
  const there = await lookAt(above, basename(target));
  if (there?.mounted === true) {
    if (there.identity === (await identityOf(shown))) return;
    throw new ModelError("LEASE_EXISTS", `something else is mounted at ${target}`, {
      hint: `unmount it first: ballast unmount ${target}`,
    });
  }
  await using place = await openChild(above, basename(target));
  if (place === undefined) throw new ModelError("NOT_FOUND", `${target} was removed meanwhile`);
  const scratch = await mkdtemp(join(tmpdir(), "ballast-mount-"));
  try {
    mountReadOnly(shown, place, { scratch });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The folder without links, so that one folder has one lease. */
async function targetOf(directory: string): Promise<string> {
  const path = resolve(directory);
  const parent = await realpath(dirname(path)).catch(undefinedIfMissing);
  if (parent === undefined) throw new ModelError("NOT_FOUND", `${dirname(path)} does not exist`);
  return join(parent, basename(path));
}

function leaseOf(target: string): string {
  return digestHex(digestOf(target));
}

function openParent(target: string) {
  return openExisting(dirname(target));
}

async function openExisting(path: string) {
  const folder = await openFolder(path);
  if (folder === undefined) throw new ModelError("NOT_FOUND", `${path} does not exist`);
  return folder;
}

async function refuseFull(target: string): Promise<void> {
  const names = (await readdir(target).catch(undefinedIfMissing)) ?? [];
  if (names.length === 0) return;
  throw new ModelError(
    "INVALID_ARGUMENT",
    `${target} is not empty: a mount would hide what is in it`,
    {
      hint: "name an empty or new folder",
    },
  );
}
