import { checkContentLimits } from "../../oci/limits.ts";
import type { Graph } from "./graph.ts";
import type { Side } from "./side.ts";

/** Throws REGISTRY_LIMIT, with the bound, for the first manifest that the target will not take. */
export function checkLimits(graph: Graph, { repository, connection }: Side): void {
  for (const { descriptor, isThere, blobs, layers } of graph.values()) {
    if (isThere) continue;
    checkContentLimits(connection.limits, {
      name: `target ${repository.name}`,
      what: `manifest ${descriptor.digest}`,
      layers,
      largestBlobBytes: blobs.reduce((most, { size }) => Math.max(most, size), 0),
      manifestBytes: descriptor.size,
    });
  }
}
