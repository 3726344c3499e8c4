import type { Subject } from "../../src/agent/api/documents.ts";
import { ModelError } from "../../src/core/errors.ts";
import type { StringMap } from "../rpc/messages.ts";
import type { TargetPath } from "./target-path.ts";

/** Whether every volume must be of a pod that the kubelet named. */
export type PodPolicy = "required" | "optional";

const prefix = "csi.storage.k8s.io/";

/**
 * The pod that a volume is for, as the kubelet says. Throws INVALID_ARGUMENT when that is not the pod
 * in the target path, or nothing is said: without `podInfoOnMount` these attributes are the pod
 * author's own, who could name another namespace. Undefined only where pods are optional.
 */
export function readSubject(
  attributes: StringMap,
  target: TargetPath,
  policy: PodPolicy,
): Subject | undefined {
  const uid = attributes[`${prefix}pod.uid`];
  const namespace = attributes[`${prefix}pod.namespace`];
  const pod = attributes[`${prefix}pod.name`];
  const serviceAccount = attributes[`${prefix}serviceAccount.name`];
  if (uid !== target.podUid)
    throw refuse(
      uid === undefined
        ? "the kubelet does not say whose volume this is"
        : "the volume's pod is not the one in its target path",
    );
  if (uid !== undefined && namespace !== undefined && pod !== undefined)
    return { namespace, pod, uid, serviceAccount };
  if (policy === "optional" && uid === undefined && namespace === undefined) return undefined;
  throw refuse("the kubelet does not say whose volume this is");
}

function refuse(problem: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, {
    hint: "the CSIDriver object must have podInfoOnMount: true",
  });
}
