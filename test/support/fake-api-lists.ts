import { Refusal, type StoredObject } from "./fake-api-objects.ts";

/** Whether a request asks for this object, by its namespace and selectors. Throws a Refusal for selectors that a server has not. */
export function isChosen(
  { metadata }: StoredObject,
  { namespace, query }: { namespace: string | undefined; query: URLSearchParams },
): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  const field = query.get("fieldSelector");
  const named = field === null ? undefined : /^metadata\.name=(.*)$/.exec(field)?.[1];
  if (field !== null && named === undefined)
    throw new Refusal(400, "BadRequest", `field label not supported: ${field}`);
  if (named !== undefined && metadata.name !== named) return false;
  const labels = query.get("labelSelector")?.split(",") ?? [];
  return labels.every((term) => {
    const [key = "", value] = term.split("=");
    const there = metadata.labels?.[key];
    return value === undefined ? there !== undefined : there === value;
  });
}

/** A page of a list, as `limit` and `continue` ask for it. */
export function page(items: readonly unknown[], query: URLSearchParams, version: number): unknown {
  const limit = Number(query.get("limit") ?? 0);
  const from = Number(query.get("continue") ?? 0);
  const end = limit === 0 ? items.length : from + limit;
  const rest = end < items.length ? { continue: String(end) } : {};
  return {
    kind: "List",
    apiVersion: "v1",
    metadata: { resourceVersion: String(version), ...rest },
    items: items.slice(from, end),
  };
}

/** Only the metadata of an object. */
export function partial({ metadata }: StoredObject): unknown {
  return { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata };
}
