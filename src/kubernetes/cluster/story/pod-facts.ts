import type { Digest } from "../../../core/digest.ts";
import type { Pod } from "../../api/objects.ts";
import type { NodeModels } from "../../node-models.ts";
import type { ClusterEvent, CsiNode } from "../facts/cluster-facts.ts";
import type { ClusterNode } from "../facts/cluster-nodes.ts";
import type { Known } from "../facts/known.ts";

interface Toleration {
  readonly key?: string | undefined;
  readonly operator?: string | undefined;
  readonly value?: string | undefined;
  readonly effect?: string | undefined;
}

export interface ExplainedPod extends Pod {
  readonly spec: Pod["spec"] & {
    readonly tolerations?: readonly Toleration[] | undefined;
    readonly schedulingGates?: readonly { readonly name: string }[] | undefined;
  };
}

/** A volume of a pod that is ours, or a claim that may become one. */
export interface PodModel {
  /** Of the volume in the pod. */
  readonly volume: string;
  /** Of the PersistentVolume, whose name its Events say; undefined for inline volumes. */
  readonly persistentVolume: string | undefined;
  readonly claim: string | undefined;
  /** As the volume names it; undefined where nothing does yet. */
  readonly reference: string | undefined;
  /** Undefined for a tag that nobody pinned. */
  readonly digest: Digest | undefined;
  /** What keeps it from being a volume. */
  readonly problem: string | undefined;
}

/** What is known of a pod and of where it could run. */
export interface PodFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly pod: ExplainedPod;
  readonly models: readonly PodModel[];
  readonly events: Known<readonly ClusterEvent[]>;
  readonly nodes: Known<readonly ClusterNode[]>;
  readonly reports: Known<readonly NodeModels[]>;
  /** Of the pod's node. */
  readonly csiNode: Known<CsiNode | undefined>;
}

/** A sentence, and what it is about. */
export interface Sentence {
  readonly about: "placement" | "hint" | "model" | "volume";
  readonly text: string;
}
