import { createHash } from "node:crypto";
import type { Pod } from "../../api/objects.ts";

/**
 * Names the pods that are to load one version of a model, of one namespace: a gang, or the pods of one
 * controller and of one revision of it. Undefined for a pod that nobody controls.
 */
export function podGroup({ metadata }: Pod): readonly string[] | undefined {
  const { labels = {}, ownerReferences = [] } = metadata;
  const owner = ownerReferences.find(({ controller }) => controller === true);
  const jobSet = labels["jobset.sigs.k8s.io/jobset-uid"];
  if (jobSet !== undefined) return ["jobset", jobSet];
  const set = labels["leaderworkerset.sigs.k8s.io/name"];
  const template = labels["leaderworkerset.sigs.k8s.io/template-revision-hash"];
  if (set !== undefined && template !== undefined) return ["leaderworkerset", set, template];
  const ray = labels["ray.io/cluster"];
  // A cluster that is made anew under its name is another.
  if (ray !== undefined) return ["ray", ray, owner?.kind === "RayCluster" ? owner.uid : ""];
  if (owner === undefined) return undefined;
  // What a StatefulSet or DaemonSet says of its pods: a restart of all of them is another revision.
  return ["controller", owner.uid, labels["controller-revision-hash"] ?? ""];
}

const namespaceDigits = 10;
const groupDigits = 30;

/** The key of such a group's pin: it tells nobody what it is of, and suits a ConfigMap. */
export function pinKey(
  namespace: string,
  group: readonly string[],
  /** As `formatReference` writes it. */
  reference: string,
): string {
  const text = JSON.stringify([namespace, group, reference]);
  return hash(namespace).slice(0, namespaceDigits) + hash(text).slice(0, groupDigits);
}

/** The same for keys of one namespace, and another for keys of others. */
export function pinNamespace(key: string): string {
  return key.slice(0, namespaceDigits);
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
