import { ModelError } from "../../src/core/errors.ts";
import { parseTargetPath } from "../request/target-path.ts";
import type { NodeUnpublishVolumeRequest } from "../rpc/messages.ts";
import type { VolumeContext } from "./context.ts";
import { endVolume } from "./release.ts";

/**
 * Takes a volume away: unmounts, removes the folder, releases the lease, in this order. Ends publish
 * calls that wait for the same target. Idempotent, also for what was never published; an agent that is
 * away is told later. Rejects with MOUNT_FAILED or STORE_IO.
 */
export async function unpublishVolume(
  context: VolumeContext,
  { volume_id, target_path }: NodeUnpublishVolumeRequest,
): Promise<void> {
  if (volume_id === "") throw new ModelError("INVALID_ARGUMENT", "the call names no volume id");
  const target = parseTargetPath(target_path, context.kubeletRoot);
  context.interrupts.interrupt(target.leaseId);
  const mounts = await context.changes.hold(target.leaseId, () => endVolume(context, target));
  context.log("unpublished", { target: target.path, volume: volume_id, mounts });
}
