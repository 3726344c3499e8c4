import { ModelError } from "../../src/core/errors.ts";
import type { VolumeCapability } from "../rpc/messages.ts";

/** How every volume is mounted; asking for it changes nothing. */
const alwaysSet = ["ro", "nosuid", "nodev", "noexec"];

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
  const others = capability.mount.mount_flags?.filter((flag) => !alwaysSet.includes(flag)) ?? [];
  if (others.length > 0)
    throw refuse(
      `a model cannot be mounted with ${others.length === 1 ? "that mount option" : "these mount options"}`,
      `leave mountOptions out: it is always ${alwaysSet.join(",")}`,
    );
}

/** Checks several; there must be one. */
export function checkCapabilities(capabilities: readonly VolumeCapability[]): void {
  if (capabilities.length === 0) throw refuse("the call names no volume capability");
  for (const capability of capabilities) checkCapability(capability);
}

function refuse(problem: string, hint?: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, { hint });
}
