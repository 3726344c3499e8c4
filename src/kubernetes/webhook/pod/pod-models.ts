import type { Pod } from "../../api/objects.ts";
import { driverName, localityAnnotation } from "../../names.ts";

/** A volume of a pod that shows a model, or may. */
export interface PodModel {
  /** Of the volume, in the pod. */
  readonly volume: string;
  readonly source:
    | {
        readonly kind: "inline";
        /** Of the volume among all of the pod. */
        readonly at: number;
        /** As the pod has it, whatever it is. */
        readonly reference: string;
        /** Of the pod's namespace: a credential. */
        readonly secret: string | undefined;
      }
    | { readonly kind: "claim"; readonly claim: string };
}

/**
 * The volumes of a pod that the webhook looks at: our inline ones that name a model and, where the pod
 * asks for it, its claims. None where the pod opts out or has a node already.
 */
export function podModels({ metadata, spec }: Pod): readonly PodModel[] {
  const locality = metadata.annotations?.[localityAnnotation];
  const hasNode = (spec.nodeName ?? "") !== "";
  if (locality === "off" || hasNode) return [];
  return (spec.volumes ?? []).flatMap(({ name, csi, persistentVolumeClaim }, at): PodModel[] => {
    const reference = csi?.volumeAttributes?.["reference"];
    if (csi?.driver === driverName && reference !== undefined) {
      const secret = csi.nodePublishSecretRef?.name;
      return [{ volume: name, source: { kind: "inline", at, reference, secret } }];
    }
    if (locality !== "on" || persistentVolumeClaim === undefined) return [];
    return [{ volume: name, source: { kind: "claim", claim: persistentVolumeClaim.claimName } }];
  });
}
