import type {
  ApiObject,
  Condition,
  Lease,
  Secret,
  WebhookConfiguration,
} from "../../api/objects.ts";
import { partName } from "../../names.ts";
import type { NodeModels } from "../../node-models.ts";
import type { ClusterNode } from "./cluster-nodes.ts";
import type { Known } from "./known.ts";

export interface CustomResourceDefinition extends ApiObject {
  readonly spec: {
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly subresources?: { readonly status?: unknown } | undefined;
      readonly schema?: { readonly openAPIV3Schema?: Schema | undefined } | undefined;
    }[];
  };
  readonly status?: { readonly conditions?: readonly Condition[] | undefined } | undefined;
}

export interface Schema {
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly items?: Schema | undefined;
}

export interface CsiDriver extends ApiObject {
  readonly spec: {
    readonly attachRequired?: boolean | undefined;
    readonly podInfoOnMount?: boolean | undefined;
    readonly volumeLifecycleModes?: readonly string[] | undefined;
    readonly fsGroupPolicy?: string | undefined;
  };
}

export interface CsiNode extends ApiObject {
  readonly spec: { readonly drivers?: readonly { readonly name: string }[] | null | undefined };
}

/** A DaemonSet or a Deployment. */
export interface Workload extends ApiObject {
  readonly spec: {
    readonly replicas?: number | undefined;
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly name: string;
          readonly image?: string | undefined;
        }[];
      };
    };
  };
  readonly status?:
    | {
        readonly observedGeneration?: number | undefined;
        /** Of a DaemonSet. */
        readonly desiredNumberScheduled?: number | undefined;
        readonly updatedNumberScheduled?: number | undefined;
        readonly numberReady?: number | undefined;
        /** Of a Deployment. */
        readonly readyReplicas?: number | undefined;
      }
    | undefined;
}

export interface ClusterEvent extends ApiObject {
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly type?: string | undefined;
  readonly lastTimestamp?: string | null | undefined;
  readonly eventTime?: string | null | undefined;
  readonly series?: { readonly lastObservedTime?: string | undefined } | null | undefined;
  readonly involvedObject?:
    | { readonly kind?: string | undefined; readonly name?: string | undefined }
    | undefined;
}

/** A pod of Ballast itself. */
export interface RolePod extends ApiObject {
  readonly spec: { readonly nodeName?: string | undefined };
  readonly status?: { readonly conditions?: readonly Condition[] | undefined } | undefined;
}

export interface EndpointSlice extends ApiObject {
  readonly endpoints?:
    | readonly { readonly conditions?: { readonly ready?: boolean | undefined } | undefined }[]
    | null
    | undefined;
}

export interface ResourceQuota extends ApiObject {
  readonly spec?:
    | {
        readonly scopeSelector?:
          | {
              readonly matchExpressions?:
                | readonly {
                    readonly scopeName: string;
                    readonly values?: readonly string[] | undefined;
                  }[]
                | undefined;
            }
          | undefined;
      }
    | undefined;
}

/** Whether a role may do something that it needs to. */
export interface RightAnswer {
  readonly role: string;
  /** Such as `patch nodes`. */
  readonly right: string;
  readonly allowed: boolean;
}

/** A namespace in which pods with volumes of ours wait to start, and what the oldest of them waits for. */
export interface WaitingPod {
  readonly namespace: string;
  /** How many wait there. */
  readonly count: number;
  /** The one that waits longest. */
  readonly pod: string;
  readonly since: string;
  /** What its last Event about it says; undefined where there is none, or none may be read. */
  readonly why: string | undefined;
}

/** What is known of a cluster, by one user, at one moment. */
export interface ClusterFacts {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The namespace of Ballast. */
  readonly namespace: string;
  /** Of this program. */
  readonly programVersion: string;
  /** Of the API server, such as `v1.36.3`. */
  readonly serverVersion: string;
  readonly home: Known<ApiObject | undefined>;
  readonly crd: Known<CustomResourceDefinition | undefined>;
  readonly driver: Known<CsiDriver | undefined>;
  readonly workloads: Known<readonly Workload[]>;
  /** Of Ballast. */
  readonly pods: Known<readonly RolePod[]>;
  /** In the namespace of Ballast. */
  readonly events: Known<readonly ClusterEvent[]>;
  readonly nodes: Known<readonly ClusterNode[]>;
  readonly csiNodes: Known<readonly CsiNode[]>;
  readonly leases: Known<readonly Lease[]>;
  readonly reports: Known<readonly NodeModels[]>;
  readonly webhook: Known<WebhookConfiguration | undefined>;
  readonly certificate: Known<Secret | undefined>;
  readonly endpoints: Known<readonly EndpointSlice[]>;
  /** Names of ValidatingAdmissionPolicies and MutatingAdmissionPolicies of Ballast, and what their bindings bind. */
  readonly policies: Known<PolicyNames>;
  readonly quotas: Known<readonly ResourceQuota[]>;
  readonly rights: Known<readonly RightAnswer[]>;
  /** Pods anywhere that have volumes of ours and have not started. */
  readonly waiting: Known<readonly WaitingPod[]>;
}

export interface PolicyNames {
  readonly validating: readonly string[];
  readonly mutating: readonly string[];
  /** Names of policies that a binding puts to work. */
  readonly bound: readonly string[];
}

/** The part of an installation that an object belongs to, by its label. */
export function roleOf({ metadata }: ApiObject): string | undefined {
  return metadata.labels?.["app.kubernetes.io/component"];
}

/** The DaemonSet or Deployment of a role. */
export function workloadOf(facts: ClusterFacts, role: string): Workload | undefined {
  return facts.workloads.value?.find((each) => each.metadata.name === partName(role));
}
