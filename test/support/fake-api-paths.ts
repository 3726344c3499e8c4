import { Refusal } from "./fake-api-objects.ts";

/** What a path of the API names. */
export interface Place {
  /** Without the namespace. */
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Reads a path; throws a Refusal (404) where it is none of the API. */
export function parsePath(path: string): Place {
  const [, root, rest = ""] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
  if (root === undefined) throw new Refusal(404, "NotFound", `there is no ${path}`);
  const parts = rest.split("/").map(decodeURIComponent);
  // Namespaces are objects, too.
  const isInside = parts[0] === "namespaces" && parts.length > 2;
  const namespace = isInside ? parts[1] : undefined;
  const [plural, name, subresource] = isInside ? parts.slice(2) : parts;
  return { collection: `${root}/${plural}`, namespace, name, subresource };
}
