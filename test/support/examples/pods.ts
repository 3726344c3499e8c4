import { at, type Fields, isFields, listAt, textAt } from "./problem.ts";

/**
 * A pod for each complete PodSpec anywhere in an object, so that an API server can judge what a
 * custom kind only carries along. One without images is completed by its operator and left out.
 */
export function podsWithin(object: Fields): Fields[] {
  const namespace = textAt(object, "metadata", "namespace");
  return specsWithin(object["spec"]).map((spec, index) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `within-${textAt(object, "metadata", "name")}-${index}`, namespace },
    spec,
  }));
}

function specsWithin(value: unknown): Fields[] {
  return specsBelow(value, []);
}

/** `claimed` are volumes that what is around a pod's spec gives it. */
function specsBelow(value: unknown, claimed: readonly Fields[]): Fields[] {
  if (Array.isArray(value)) return value.flatMap((each) => specsBelow(each, claimed));
  if (!isFields(value)) return [];
  const { containers, volumes } = value;
  const isSpec =
    Array.isArray(containers) &&
    Array.isArray(volumes) &&
    containers.every((container) => textAt(container, "image") !== undefined);
  if (isSpec) return [{ ...value, volumes: [...volumes, ...claimed] }];
  const given = [...claimed, ...claimVolumes(value)];
  return Object.values(value).flatMap((each) => specsBelow(each, given));
}

/** The volumes that a StatefulSet makes of its claim templates. */
function claimVolumes(value: Fields): Fields[] {
  return listAt(value, "volumeClaimTemplates").map((each) => {
    const name = textAt(at(each, "metadata"), "name");
    return { name, persistentVolumeClaim: { claimName: `${name}-0` } };
  });
}
