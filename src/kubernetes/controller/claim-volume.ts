import { ModelError } from "../../core/errors.ts";
import { checkMountOptions, ownAttributes, parseAttributes } from "../../core/volume-attributes.ts";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "../api/objects.ts";
import { driverName, referenceAnnotation } from "../names.ts";
import { publishSecretOf, secretParameters } from "./publish-secret.ts";
import { fillTemplate } from "./template.ts";

/** Of a volume: who made it, and so who may delete it. */
export const provisionedBy = "pv.kubernetes.io/provisioned-by";

/** The name of the volume that is made for a claim: no other claim has it, ever. */
export function volumeNameOf(claim: PersistentVolumeClaim): string {
  return `pvc-${claim.metadata.uid ?? ""}`;
}

/**
 * The volume that a claim gets from its StorageClass; nothing is reserved anywhere. Throws
 * INVALID_ARGUMENT or INVALID_REFERENCE, which says whose fault it is, for what no pod could mount.
 */
export function volumeOf(
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
): PersistentVolume {
  checkClaim(claim);
  const name = volumeNameOf(claim);
  return inClass(storageClass, () => {
    const { mountOptions = [], reclaimPolicy = "Delete" } = storageClass;
    checkMountOptions(mountOptions);
    const secret = publishSecretOf(claim, storageClass, name);
    return {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name, annotations: { [provisionedBy]: driverName } },
      spec: {
        storageClassName: storageClass.metadata.name,
        persistentVolumeReclaimPolicy: reclaimPolicy,
        capacity: { storage: claim.spec.resources?.requests?.storage },
        accessModes: claim.spec.accessModes,
        mountOptions: mountOptions.length === 0 ? undefined : mountOptions,
        claimRef: {
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          namespace: claim.metadata.namespace,
          name: claim.metadata.name,
          uid: claim.metadata.uid,
        },
        csi: {
          driver: driverName,
          volumeHandle: name,
          readOnly: true,
          volumeAttributes: attributesOf(claim, storageClass),
          nodePublishSecretRef: secret,
        },
      },
    };
  });
}

function attributesOf(
  claim: PersistentVolumeClaim,
  { parameters = {} }: StorageClass,
): Record<string, string> {
  const { name = "", namespace = "", annotations = {} } = claim.metadata;
  const { [secretParameters.name]: _, [secretParameters.namespace]: __, ...rest } = parameters;
  const own = ownAttributes(rest);
  const foreign = Object.keys(rest).filter((key) => !Object.hasOwn(own, key));
  if (foreign.length > 0)
    throw new ModelError("INVALID_ARGUMENT", `it has no parameter ${foreign.join(", ")}`, {
      hint: "secrets are given with csi.storage.k8s.io/node-publish-secret-name and -namespace",
    });
  const { reference: template } = own;
  const variables = { "pvc.name": name, "pvc.namespace": namespace };
  const reference =
    template === undefined
      ? annotations[referenceAnnotation]
      : fillTemplate("reference", template, { variables, annotations });
  if (reference === undefined)
    throw new ModelError("INVALID_ARGUMENT", "it names no model, and nor does the claim", {
      hint: `give the claim the annotation ${referenceAnnotation}, such as registry.example.com/team/model:v1`,
    });
  const attributes = { ...own, reference };
  parseAttributes(attributes);
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function checkClaim({ spec }: PersistentVolumeClaim): void {
  const { volumeMode = "Filesystem", dataSource, dataSourceRef, selector } = spec;
  if (volumeMode !== "Filesystem")
    throw refuse("a model is no block device", "use volumeMode: Filesystem");
  if ((dataSource ?? dataSourceRef ?? null) !== null)
    throw refuse("a model is no copy of another volume", "leave dataSource out");
  if ((selector ?? null) !== null)
    throw refuse("a claim with a selector gets no volume of its own", "leave selector out");
}

/** Says which class it was. */
function inClass<T>({ metadata }: StorageClass, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    const { code, message, hint, cause } = error;
    throw new ModelError(code, `StorageClass ${metadata.name}: ${message}`, { hint, cause });
  }
}

function refuse(problem: string, hint: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, { hint });
}
