import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { listAll } from "../../api/list.ts";
import type { ClusterEvent } from "./cluster-facts.ts";
import { type Known, lookAtAll } from "./known.ts";

/** The Events of a pod, or of all objects of a namespace. */
export function lookAtEvents(
  api: ClusterApi,
  namespace: string,
  pod?: string,
  options: Abortable = {},
): Promise<Known<readonly ClusterEvent[]>> {
  const path = `/api/v1/namespaces/${namespace}/events`;
  const fieldSelector =
    pod === undefined ? undefined : `involvedObject.kind=Pod,involvedObject.name=${pod}`;
  return lookAtAll(
    async () => (await listAll<ClusterEvent>(api, { path, fieldSelector }, options)).items,
  );
}

/** When an Event was seen last; sorts as text. */
export function sayWhen({ series, lastTimestamp, eventTime, metadata }: ClusterEvent): string {
  return (
    series?.lastObservedTime ??
    lastTimestamp ??
    eventTime ??
    metadata.creationTimestamp ??
    ""
  ).replace(/\.\d+/, "");
}
