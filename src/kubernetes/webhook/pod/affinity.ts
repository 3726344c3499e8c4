import type { Digest } from "../../../core/digest.ts";
import type { Affinity, PreferredTerm } from "../../api/objects.ts";
import { labelKey, labelPrefix, labelValue } from "../../names.ts";
import { keysOf, preferredTerms } from "../../preferred-terms.ts";

/** A model that a pod would like to find on its node. */
export interface WantedModel {
  readonly digest: Digest;
  readonly bytes: number;
}

/** A term to be: how much a model counts. */
export interface ModelWeight {
  readonly digest: Digest;
  /** 1 to 100. */
  readonly weight: number;
}

/**
 * The terms to add to a pod's preferences, so that it goes where its models are. Beside terms of the
 * user's own they weigh half of what those weigh together (at least 1, at most 100), since schedulers
 * compare sums: a node that has all that the user prefers beats one that only has the models. Without
 * any they weigh 100. Several models share that by their bytes; one whose share is below 1 gets no term.
 * A model that some term speaks of already gets none: a second call adds nothing.
 */
export function weighModels(
  affinity: Affinity | undefined,
  models: readonly WantedModel[],
): ModelWeight[] {
  const present = preferredTerms(affinity);
  const isOurs = (term: PreferredTerm) => keysOf(term).some((key) => key.startsWith(labelPrefix));
  const users = present.filter((term) => !isOurs(term)).map(({ weight }) => weight);
  const shares = shareOut(totalWeight(users), distinct(models));
  const known = new Set(present.flatMap(keysOf));
  return shares.filter(({ digest }) => !known.has(labelKey(digest)));
}

/** Prefers nodes that say that they have the model. */
export function termFor({ digest, weight }: ModelWeight): PreferredTerm {
  const label = { key: labelKey(digest), operator: "In", values: [labelValue] };
  return { weight, preference: { matchExpressions: [label] } };
}

/** Whether a pod has a term of this model. */
export function prefersModel(affinity: Affinity | undefined, digest: Digest): boolean {
  return preferredTerms(affinity).flatMap(keysOf).includes(labelKey(digest));
}

function totalWeight(users: readonly number[]): number {
  if (users.length === 0) return 100;
  const sum = users.reduce((all, each) => all + each, 0);
  return Math.max(1, Math.min(100, Math.floor(sum / 2)));
}

/** By largest remainder, so that the weights add up to the total. */
function shareOut(total: number, models: readonly WantedModel[]): ModelWeight[] {
  const bytes = models.reduce((sum, each) => sum + each.bytes, 0);
  const exact = models.map((model) => ({
    digest: model.digest,
    share: bytes === 0 ? total / models.length : (total * model.bytes) / bytes,
  }));
  const rest = Math.round(total - exact.reduce((sum, { share }) => sum + Math.floor(share), 0));
  const byRemainder = exact.toSorted((a, b) => (b.share % 1) - (a.share % 1));
  const rounded = new Set(byRemainder.slice(0, rest).map(({ digest }) => digest));
  return exact
    .map(({ digest, share }) => ({
      digest,
      weight: Math.floor(share) + (rounded.has(digest) ? 1 : 0),
    }))
    .filter(({ weight }) => weight > 0);
}

function distinct(models: readonly WantedModel[]): WantedModel[] {
  return [...new Map(models.map((model) => [model.digest, model])).values()];
}
