const collator = new Intl.Collator("en", { numeric: true });

/** Compares names as people count, v2 before v10; no two different ones are equal. */
export function compareNaturally(one: string, other: string): number {
  return collator.compare(one, other) || (one < other ? -1 : Number(one > other));
}
