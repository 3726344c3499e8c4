import { type Fields, isFields, textAt } from "./problem.ts";

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
  if (Array.isArray(value)) return value.flatMap(specsWithin);
  if (!isFields(value)) return [];
  const { containers, volumes } = value;
  const isSpec =
    Array.isArray(containers) &&
    Array.isArray(volumes) &&
    containers.every((container) => textAt(container, "image") !== undefined);
  return isSpec ? [value] : Object.values(value).flatMap(specsWithin);
}
