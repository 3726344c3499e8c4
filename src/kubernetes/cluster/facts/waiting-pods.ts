import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { findVolumeUsers } from "../volume-users.ts";
import type { ClusterEvent, WaitingPod } from "./cluster-facts.ts";
import { type Known, look } from "./known.ts";
import { lookAtEvents, sayWhen } from "./pod-events.ts";

const mostNamespaces = 5;
const reasons = new Set(["FailedMount", "FailedScheduling", "FailedAttachVolume"]);

/** Namespaces in which pods with our volumes are Pending, those with most of them first, at most five. */
export async function lookAtWaitingPods(
  api: ClusterApi,
  options: Abortable = {},
): Promise<Known<readonly WaitingPod[]>> {
  const users = await look(() =>
    findVolumeUsers(api, { fieldSelector: "status.phase=Pending", ...options }),
  );
  if (users.refused !== undefined) return { refused: users.refused };
  const groups = Object.entries(
    Object.groupBy(users.value?.pods ?? [], ({ namespace }) => namespace),
  ).toSorted(([, a = []], [, b = []]) => b.length - a.length);
  const named = groups.slice(0, mostNamespaces).map(async ([namespace, pods = []]) => {
    const [oldest] = pods.toSorted((a, b) => a.since.localeCompare(b.since));
    if (oldest === undefined) return [];
    const events = await lookAtEvents(api, namespace, oldest.pod, options);
    const { pod, since } = oldest;
    return [{ namespace, count: pods.length, pod, since, why: lastWord(events.value ?? []) }];
  });
  return { value: (await Promise.all(named)).flat() };
}

function lastWord(events: readonly ClusterEvent[]): string | undefined {
  return events
    .filter((event) => reasons.has(event.reason ?? ""))
    .toSorted((a, b) => sayWhen(b).localeCompare(sayWhen(a)))[0]?.message;
}
