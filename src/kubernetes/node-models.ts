import type { Digest } from "../core/digest.ts";
import type { ObjectMeta } from "./api/objects.ts";

/** One model on a node. Only its digest is told: names would tell tenants about each other. */
export interface NodeModel {
  /** Of the manifest. */
  readonly digest: Digest;
  /** `ready`: all of it is there. `partial`: a selection, or a pull that stopped. */
  readonly state: "ready" | "partial" | "pulling" | "failed";
  /** Bytes that are there. */
  readonly bytes: number;
  /** Of all that is wanted of it, while it is pulled. */
  readonly totalBytes?: number | undefined;
  /** While it is pulled. */
  readonly bytesPerSecond?: number | undefined;
  readonly pinned?: boolean | undefined;
  /** How many volumes show it. */
  readonly mounts?: number | undefined;
}

/** What a reporter says of its node. */
export interface NodeModelsStatus {
  /** ISO 8601, by the node's clock: when this was written. */
  readonly reportedAt: string;
  /** Whether the agent answered then. */
  readonly agentReady: boolean;
  readonly agentVersion?: string | undefined;
  readonly store?:
    | {
        /** Bytes of all files. */
        readonly bytes: number;
        /** Of the filesystem. */
        readonly capacityBytes: number;
      }
    | undefined;
  /** How many models are there whole, of those that `models` leaves out, too. */
  readonly readyModels?: number | undefined;
  /** Most recently used first. */
  readonly models: readonly NodeModel[];
  /** How many more there are than `models` may have. */
  readonly omitted?: number | undefined;
}

/** The object of a node: named like it, owned by it, cluster-scoped. */
export interface NodeModels {
  readonly apiVersion: typeof nodeModelsVersion;
  readonly kind: "NodeModels";
  readonly metadata: ObjectMeta;
  readonly status?: NodeModelsStatus | undefined;
}

/** The API group of NodeModels. */
export const nodeModelsGroup = "ballast.dev";

/** The version in that group. */
export const nodeModelsApi = "v1alpha1";

/** The `apiVersion` of NodeModels. */
export const nodeModelsVersion = "ballast.dev/v1alpha1";

/** The CustomResourceDefinition. */
export const nodeModelsCrd = "nodemodels.ballast.dev";

/** The collection of all nodes' objects in the API. */
export const nodeModelsPath = "/apis/ballast.dev/v1alpha1/nodemodels";
