import { ModelError } from "../../src/core/errors.ts";
import { parseTargetPath } from "../request/target-path.ts";
import type { NodeGetVolumeStatsRequest, VolumeUsage } from "../rpc/messages.ts";
import type { VolumeContext } from "./context.ts";
import { lookAtTarget } from "./target-folder.ts";

/**
 * How large a published volume is: the bytes and files of the model or of what was chosen of it, all
 * of them used. Rejects with NOT_FOUND for a volume that is not mounted at that path.
 */
export async function measureVolume(
  context: VolumeContext,
  { volume_id, volume_path }: NodeGetVolumeStatsRequest,
): Promise<VolumeUsage[]> {
  if (volume_id === "") throw new ModelError("INVALID_ARGUMENT", "the call names no volume id");
  if (volume_path === "") throw new ModelError("INVALID_ARGUMENT", "the call names no path");
  const absent = new ModelError("NOT_FOUND", "this volume is not published at this path");
  const target = parseOrUndefined(volume_path, context.kubeletRoot);
  if (target === undefined) throw absent;
  const state = await context.states.read(target.leaseId);
  if (state?.phase !== "published" || state.volumeId !== volume_id) throw absent;
  const found = await lookAtTarget(target, context);
  if (found?.mounted !== true || found.identity !== state.identity) throw absent;
  return [fullUsage("BYTES", state.bytes), fullUsage("INODES", state.files)];
}

function parseOrUndefined(path: string, kubeletRoot: string) {
  try {
    return parseTargetPath(path, kubeletRoot);
  } catch {
    return undefined;
  }
}

function fullUsage(unit: "BYTES" | "INODES", total: number): VolumeUsage {
  return { unit, total, used: total, available: 0 };
}
