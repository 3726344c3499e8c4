import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { pickAll } from "../../api/list.ts";
import type { Node } from "../../api/objects.ts";
import { type Known, lookAtAll } from "./known.ts";

export interface Taint {
  readonly key: string;
  readonly value?: string | undefined;
  readonly effect: string;
}

/** A node, as far as where pods go depends on it. */
export interface ClusterNode extends Node {
  readonly spec?:
    | {
        readonly unschedulable?: boolean | undefined;
        readonly taints?: readonly Taint[] | undefined;
      }
    | undefined;
}

/** All nodes, without what is long in them: images, addresses, volumes. */
export function lookAtNodes(
  api: ClusterApi,
  options: Abortable = {},
): Promise<Known<readonly ClusterNode[]>> {
  const keep = ({ metadata: { name, labels }, spec, status }: ClusterNode): ClusterNode => ({
    metadata: { name, labels },
    spec: { unschedulable: spec?.unschedulable, taints: spec?.taints },
    status: {
      conditions: status?.conditions,
      nodeInfo: { kubeletVersion: status?.nodeInfo?.kubeletVersion },
    },
  });
  return lookAtAll(() =>
    pickAll<ClusterNode, ClusterNode>(api, { path: "/api/v1/nodes" }, keep, options),
  );
}

/** Whether a node says that pods may run there. */
export function isReady({ status }: Node): boolean {
  return (
    status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") ?? false
  );
}

/** The name of an object; empty where it has none. */
export function nameOf({ metadata }: Pick<Node, "metadata">): string {
  return metadata.name ?? "";
}
