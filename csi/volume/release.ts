import { describeForLog } from "../log.ts";
import type { TargetPath } from "../request/target-path.ts";
import type { VolumeContext } from "./context.ts";
import { clearTarget } from "./target-folder.ts";

/**
 * Undoes all that a volume is: its mount, its folder, its lease, its state, in this order, so that a
 * kill in between leaves what the next call or the upkeep finds. To be called under the target's lock.
 * Resolves to the number of mounts there were; rejects with MOUNT_FAILED or STORE_IO.
 */
export async function endVolume(context: VolumeContext, target: TargetPath): Promise<number> {
  const mounts = await clearTarget(target, context);
  await releaseLease(context, target);
  return mounts;
}

/**
 * Tells the agent that the lease ended and forgets the volume. While the agent does not acknowledge,
 * that is written down to be tried again; it never rejects for the agent's sake.
 */
export async function releaseLease(context: VolumeContext, target: TargetPath): Promise<void> {
  const { agent, states, patience, log, onPending } = context;
  const { leaseId, path } = target;
  context.answered.delete(leaseId);
  try {
    await agent.release(leaseId, { signal: AbortSignal.timeout(patience.releaseMs) });
  } catch (error) {
    if ((await states.read(leaseId))?.phase === "releasing") return;
    await states.write(leaseId, { phase: "releasing", target: path });
    log("release-pending", { target: path, why: describeForLog(error) });
    onPending();
    return;
  }
  await states.remove(leaseId);
}
