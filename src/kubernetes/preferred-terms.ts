import type { Affinity, PreferredTerm } from "./api/objects.ts";

/** What a pod prefers of nodes. */
export function preferredTerms(affinity: Affinity | undefined): readonly PreferredTerm[] {
  // The API writes null for nothing, too.
  return affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

/** The labels of nodes that a term looks at. */
export function keysOf({ preference }: PreferredTerm): string[] {
  return (preference.matchExpressions ?? []).map(({ key }) => key);
}
