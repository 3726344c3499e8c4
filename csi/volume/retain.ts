import type { MountedVolume } from "../../src/agent/api/documents.ts";
import { parseDigest } from "../../src/core/digest.ts";
import { isModelError } from "../../src/core/errors.ts";
import type { TargetPath } from "../request/target-path.ts";
import type { VolumeContext } from "./context.ts";
import { lookAtTarget } from "./target-folder.ts";
import type { PublishedState } from "./volume-states.ts";

/**
 * Leases a volume again that is mounted and whose lease the agent has lost, so that its model is not
 * evicted under it. A mount that the agent refuses to lease is left as it is. Rejects while the agent is
 * away.
 */
export async function retainVolume(context: VolumeContext, target: TargetPath): Promise<void> {
  const { agent, states, patience, changes, log } = context;
  await changes.hold(target.leaseId, async () => {
    const state = await states.read(target.leaseId);
    if (state?.phase !== "published") return;
    try {
      const found = await lookAtTarget(target, context);
      if (found?.mounted !== true || found.identity !== state.identity) return;
      const signal = AbortSignal.timeout(patience.releaseMs);
      await agent.retain(describeVolume(target, state), { signal });
      log("leased-again", { target: target.path, model: state.name });
    } catch (error) {
      if (isModelError(error, "AGENT_UNAVAILABLE") || !isModelError(error)) throw error;
      log("lease-missing", { target: target.path, code: error.code, why: error.message });
    }
  });
}

function describeVolume(target: TargetPath, state: PublishedState): MountedVolume {
  const { reference, include, exclude, name, subject } = state;
  return {
    id: target.leaseId,
    reference,
    include,
    exclude,
    digest: parseDigest(name.slice(name.lastIndexOf("@") + 1)),
    target: target.path,
    subject: subject ?? undefined,
  };
}
