import type { ModelDocument } from "../../agent/api/documents.ts";
import { labelKey, labelPrefix, labelValue, modelLabels } from "../names.ts";

export interface LabelChoice {
  /** Smaller models are fetched faster than a scheduler could make good use of them. */
  readonly minBytes: number;
  /** Most labels that a node gets. */
  readonly limit: number;
}

type Labels = Readonly<Record<string, string>>;

/** A merge patch of labels: null removes one. */
export type LabelPatch = Readonly<Record<string, string | null>>;

/**
 * The labels that a node with these models should have: of those that are whole, large enough and not about
 * to go the most recently used. A model that is here from several repositories counts as one.
 */
export function chooseLabels(
  models: readonly ModelDocument[],
  { minBytes, limit }: LabelChoice,
): ReadonlySet<string> {
  const used = new Map<string, string>();
  for (const { digest, whole, leaving, bytes, lastUsed } of models) {
    if (!whole || leaving || bytes < minBytes) continue;
    const key = labelKey(digest);
    const known = used.get(key);
    if (known === undefined || known < lastUsed) used.set(key, lastUsed);
  }
  const newest = [...used].sort(([a, at], [b, bt]) => compare(bt, at) || compare(a, b));
  return new Set(newest.slice(0, limit).map(([key]) => key));
}

/**
 * What makes the labels of a node those that are wanted; only labels of Ballast are touched. Where it is not
 * known what is wanted, only what no reporter would have written goes.
 */
export function patchLabels(labels: Labels, wanted: ReadonlySet<string> | undefined): LabelPatch {
  const ours = Object.entries(labels).filter(([key]) => key.startsWith(labelPrefix));
  const removed = ours.filter(([key, value]) =>
    wanted === undefined ? !isWellFormed(key, value) : !wanted.has(key),
  );
  const missing = [...(wanted ?? [])].filter((key) => labels[key] !== labelValue);
  return Object.fromEntries([
    ...removed.map(([key]) => [key, null] as const),
    ...missing.map((key) => [key, labelValue] as const),
  ]);
}

/** How many labels of Ballast there are. */
export function countLabels(labels: Labels): number {
  return modelLabels(labels).length;
}

function isWellFormed(key: string, value: string): boolean {
  return value === labelValue && /^[0-9a-f]{40}$/.test(key.slice(labelPrefix.length));
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
