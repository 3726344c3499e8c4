import { digestOf } from "../../src/core/digest.ts";
import { ownAttributes } from "../../src/core/volume-attributes.ts";
import type { NodePublishVolumeRequest } from "../rpc/messages.ts";

const podKeys = ["pod.name", "pod.namespace", "pod.uid", "serviceAccount.name"];

/**
 * Tells a publish call with other arguments from the same one again. Secrets and tokens are no part of
 * it: they change while the volume stays. Nor are keys that a newer kubelet may add on a node where
 * volumes are mounted already.
 */
export function fingerprintOf(request: NodePublishVolumeRequest): string {
  const { volume_id, volume_capability, readonly, volume_context } = request;
  const pod = podKeys.map((key) => volume_context[`csi.storage.k8s.io/${key}`] ?? null);
  const attributes = Object.entries(ownAttributes(volume_context)).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const access = [
    volume_capability?.access_mode?.mode ?? null,
    volume_capability?.mount?.fs_type ?? null,
    volume_capability?.mount?.mount_flags ?? [],
  ];
  return digestOf(JSON.stringify(["1", volume_id, readonly, access, pod, attributes]));
}
