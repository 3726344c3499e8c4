import type { PreferredTerm } from "../../api/objects.ts";
import { labelPrefix } from "../../names.ts";
import { keysOf, preferredTerms } from "../../preferred-terms.ts";
import type { ExplainedPod } from "./pod-facts.ts";

/** What a pod prefers, told apart by who asked for it. */
export interface HintTerms {
  /** Labels of ours that it prefers, and with what weight. */
  readonly ours: readonly { readonly label: string; readonly weight: number }[];
  /** Of 1 to 100 each. */
  readonly othersWeights: readonly number[];
}

/** The preferred node affinity of a pod. */
export function readHintTerms({ spec }: ExplainedPod): HintTerms {
  const terms = preferredTerms(spec.affinity);
  const labelsOf = (term: PreferredTerm) =>
    keysOf(term).filter((key) => key.startsWith(labelPrefix));
  return {
    ours: terms.flatMap((term) => labelsOf(term).map((label) => ({ label, weight: term.weight }))),
    othersWeights: terms.flatMap((term) => (labelsOf(term).length === 0 ? [term.weight] : [])),
  };
}
