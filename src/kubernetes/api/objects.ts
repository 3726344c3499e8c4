/**
 * Shapes of API objects, as far as Ballast reads and writes them. What an API server answers is checked
 * against its schema when it is stored, so the answers are taken as these.
 */

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
}

export interface ObjectMeta {
  readonly name?: string | undefined;
  readonly generateName?: string | undefined;
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly generation?: number | undefined;
  readonly creationTimestamp?: string | undefined;
  readonly deletionTimestamp?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
  readonly finalizers?: readonly string[] | undefined;
  /** Not of objects that are followed. */
  readonly managedFields?:
    | readonly {
        /** When that writer wrote last, by the API server's clock. */
        readonly time?: string | undefined;
      }[]
    | undefined;
}

/** Any object. */
export interface ApiObject {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly metadata: ObjectMeta;
}

/** A page of a collection. */
export interface ApiList<T> {
  readonly metadata: {
    readonly resourceVersion?: string | undefined;
    readonly continue?: string | undefined;
    readonly remainingItemCount?: number | undefined;
  };
  /** Null where a server has none to tell the metadata of. */
  readonly items: readonly T[] | null;
}

export interface Secret extends ApiObject {
  /** In base64. */
  readonly data?: Readonly<Record<string, string>> | undefined;
}

interface SecretReference {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
}

/** A volume of a pod, inline. */
interface InlineVolume {
  readonly driver: string;
  readonly readOnly?: boolean | undefined;
  readonly volumeAttributes?: Readonly<Record<string, string>> | undefined;
  readonly nodePublishSecretRef?: SecretReference | undefined;
}

export interface PodVolume {
  readonly name: string;
  readonly csi?: InlineVolume | undefined;
  readonly persistentVolumeClaim?:
    | { readonly claimName: string; readonly readOnly?: boolean | undefined }
    | undefined;
}

/** One label of a node, as affinity asks for it. */
export interface NodeSelectorRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[] | undefined;
}

export interface PreferredTerm {
  /** 1 to 100. */
  readonly weight: number;
  readonly preference: {
    readonly matchExpressions?: readonly NodeSelectorRequirement[] | undefined;
    readonly matchFields?: readonly NodeSelectorRequirement[] | undefined;
  };
}

export interface Affinity {
  readonly nodeAffinity?:
    | {
        readonly preferredDuringSchedulingIgnoredDuringExecution?:
          | readonly PreferredTerm[]
          | undefined;
        readonly requiredDuringSchedulingIgnoredDuringExecution?: unknown;
      }
    | undefined;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
}

export interface Pod extends ApiObject {
  readonly spec: {
    readonly nodeName?: string | undefined;
    readonly schedulerName?: string | undefined;
    readonly serviceAccountName?: string | undefined;
    readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
    readonly affinity?: Affinity | undefined;
    readonly volumes?: readonly PodVolume[] | undefined;
  };
  readonly status?:
    | {
        readonly phase?: string | undefined;
        readonly conditions?: readonly Condition[] | undefined;
      }
    | undefined;
}

export interface Node extends ApiObject {
  readonly spec?: { readonly unschedulable?: boolean | undefined } | undefined;
  readonly status?:
    | {
        readonly conditions?: readonly Condition[] | undefined;
        readonly nodeInfo?: { readonly kubeletVersion?: string | undefined } | undefined;
      }
    | undefined;
}

/** coordination.k8s.io/v1. */
export interface Lease extends ApiObject {
  readonly spec?:
    | {
        readonly holderIdentity?: string | undefined;
        readonly leaseDurationSeconds?: number | undefined;
        readonly acquireTime?: string | undefined;
        readonly renewTime?: string | undefined;
        readonly leaseTransitions?: number | undefined;
      }
    | undefined;
}

export interface PersistentVolumeClaim extends ApiObject {
  readonly spec: {
    readonly storageClassName?: string | undefined;
    readonly volumeName?: string | undefined;
    readonly volumeMode?: string | undefined;
    readonly dataSource?: unknown;
    readonly dataSourceRef?: unknown;
    readonly selector?: unknown;
    readonly accessModes?: readonly string[] | undefined;
    readonly resources?:
      | { readonly requests?: { readonly storage?: string | undefined } | undefined }
      | undefined;
  };
  readonly status?: { readonly phase?: string | undefined } | undefined;
}

export interface PersistentVolume extends ApiObject {
  readonly spec: {
    readonly storageClassName?: string | undefined;
    readonly persistentVolumeReclaimPolicy?: string | undefined;
    readonly capacity?: { readonly storage?: string | undefined } | undefined;
    readonly accessModes?: readonly string[] | undefined;
    readonly mountOptions?: readonly string[] | undefined;
    readonly claimRef?:
      | {
          readonly apiVersion?: string | undefined;
          readonly kind?: string | undefined;
          readonly namespace?: string | undefined;
          readonly name?: string | undefined;
          readonly uid?: string | undefined;
        }
      | undefined;
    readonly csi?:
      | {
          readonly driver: string;
          readonly volumeHandle: string;
          readonly readOnly?: boolean | undefined;
          readonly volumeAttributes?: Readonly<Record<string, string>> | undefined;
          readonly nodePublishSecretRef?: SecretReference | undefined;
        }
      | undefined;
  };
  readonly status?: { readonly phase?: string | undefined } | undefined;
}

export interface StorageClass extends ApiObject {
  readonly provisioner: string;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly reclaimPolicy?: string | undefined;
  readonly mountOptions?: readonly string[] | undefined;
  readonly volumeBindingMode?: string | undefined;
}

/** As much of a MutatingWebhookConfiguration as is read (admissionregistration.k8s.io/v1). */
export interface WebhookConfiguration extends ApiObject {
  readonly webhooks?:
    | readonly {
        readonly name: string;
        readonly failurePolicy?: string | undefined;
        readonly clientConfig: {
          /** Base64 of PEM. */
          readonly caBundle?: string | undefined;
          readonly service?:
            | {
                readonly name: string;
                readonly namespace: string;
                readonly path?: string | undefined;
              }
            | undefined;
          /** Instead of a service. */
          readonly url?: string | undefined;
        };
      }[]
    | undefined;
}

/** The collection of MutatingWebhookConfigurations. */
export const webhookConfigurationsPath =
  "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
