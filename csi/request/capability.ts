import { ModelError } from "../../src/core/errors.ts";
import { checkMountOptions } from "../../src/core/volume-attributes.ts";
import type { VolumeCapability } from "../rpc/messages.ts";

/**
 * Checks how a caller means to use a volume. Throws INVALID_ARGUMENT where something is missing or
 * cannot be had. Modes that write are taken, because a kubelet knows no other for inline volumes: what
 * is mounted is read-only all the same.
 */
export function checkCapability(capability: VolumeCapability | null): void {
  const mode = capability?.access_mode?.mode ?? "UNKNOWN";
  if (capability === null) throw refuse("the call names no volume capability");
  if (capability.block) throw refuse("a model is no block device", "use volumeMode: Filesystem");
  if (!capability.mount) throw refuse("the volume capability names no access type");
  if (mode === "UNKNOWN") throw refuse("the volume capability names no access mode");
  checkMountOptions(capability.mount.mount_flags ?? []);
}

/** Checks several; there must be one. */
export function checkCapabilities(capabilities: readonly VolumeCapability[]): void {
  if (capabilities.length === 0) throw refuse("the call names no volume capability");
  for (const capability of capabilities) checkCapability(capability);
}

function refuse(problem: string, hint?: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, { hint });
}
