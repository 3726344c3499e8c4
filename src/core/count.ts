import { ModelError } from "./errors.ts";

/** Passes a count from a caller on. Throws INVALID_ARGUMENT unless it is a whole number from 1 up. */
export function checkCount(name: string, count: number): number {
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new ModelError("INVALID_ARGUMENT", `${name} is ${count}, not a whole number from 1 up`);
}
