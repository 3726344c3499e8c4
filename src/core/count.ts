import { ModelError } from "./errors.ts";

/** Passes a count from a caller on. Throws INVALID_ARGUMENT unless it is a whole number from 1 up, to `most`. */
export function checkCount(name: string, count: number, most?: number): number {
  if (Number.isSafeInteger(count) && count >= 1 && count <= (most ?? count)) return count;
  const range = `from 1 ${most === undefined ? "up" : `to ${most}`}`;
  throw new ModelError("INVALID_ARGUMENT", `${name} is ${count}, not a whole number ${range}`);
}
