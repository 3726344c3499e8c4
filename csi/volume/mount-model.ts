import type { ReadyModel, Subject } from "../../src/agent/api/documents.ts";
import { ModelError } from "../../src/core/errors.ts";
import { identityOf, type MountPoint } from "../../src/mount/mount-point.ts";
import { readMountTable } from "../../src/mount/mount-table.ts";
import { type HeldFolder, openFolderBelow } from "../../src/mount/open-folder.ts";
import type { TargetPath } from "../request/target-path.ts";
import type { VolumeContext } from "./context.ts";
import { lookAtTarget, showTree } from "./target-folder.ts";
import type { PublishedState } from "./volume-states.ts";

/** What is to be shown, and for whom. */
export interface ModelVolume
  extends Pick<PublishedState, "volumeId" | "fingerprint" | "reference" | "include" | "exclude"> {
  readonly target: TargetPath;
  readonly subject: Subject | undefined;
}

/**
 * Writes the state down, then mounts the model. Where the very tree is mounted already, as after a lost
 * state, only the first. To be called under the target's lock. Rejects with MOUNT_FAILED, also when
 * something else is mounted at the target: a mount is never taken away under a pod.
 */
export async function mountModel(
  context: VolumeContext,
  volume: ModelVolume,
  model: ReadyModel,
): Promise<void> {
  const { target } = volume;
  await using tree = await openTree(context, model);
  const identity = await identityOf(tree);
  const found = await lookAtTarget(target, context);
  if (found?.mounted === true && !(await isOurs(context, found, identity))) throw occupied(target);
  await context.states.write(target.leaseId, describeState(volume, model, identity));
  if (found?.mounted !== true) await showTree(tree, target, context);
}

async function openTree(context: VolumeContext, { tree }: ReadyModel): Promise<HeldFolder> {
  const { storeRoot } = context;
  const folder = await openFolderBelow(storeRoot, tree).catch((cause: unknown) => {
    throw new ModelError("MOUNT_FAILED", `the agent named ${tree}, which is no folder to mount`, {
      hint: `the plugin mounts folders below ${storeRoot} (--store), and through no link`,
      cause,
    });
  });
  if (folder !== undefined) return folder;
  throw new ModelError("MOUNT_FAILED", `the agent's folder ${tree} is not there for the plugin`, {
    hint: "the plugin must see the agent's store at the same path",
  });
}

/** The same folder, shown as this plugin shows it. */
async function isOurs(
  { namespace }: VolumeContext,
  found: MountPoint,
  identity: string,
): Promise<boolean> {
  if (found.identity !== identity) return false;
  const entry = (await readMountTable(namespace)).find(({ id }) => id === found.mountId);
  const wanted = ["ro", "nosuid", "nodev", "noexec"];
  return entry !== undefined && wanted.every((option) => entry.options.includes(option));
}

function describeState(volume: ModelVolume, model: ReadyModel, identity: string): PublishedState {
  const { target, subject, ...asked } = volume;
  const { name, tree, bytes, files } = model;
  return {
    ...asked,
    phase: "published",
    target: target.path,
    subject: subject ?? null,
    name,
    tree,
    identity,
    bytes,
    files,
  };
}

function occupied(target: TargetPath): ModelError {
  return new ModelError("MOUNT_FAILED", `something else is mounted at ${target.path}`, {
    hint: "delete the pod: its volumes are unmounted then, this too",
  });
}
