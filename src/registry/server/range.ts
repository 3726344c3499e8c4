/** An inclusive range of bytes that lies inside the content. */
export interface SatisfiedRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Reads a `Range` header (RFC 9110, section 14.2) against content of `size` bytes. `ignored` means:
 * send all of it, because the header is absent, malformed, of another unit, or asks for several.
 * One that ends before it begins is refused: who asks for it counts wrong, and would take all.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): SatisfiedRange | "ignored" | "unsatisfiable" {
  const match = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (first === "" && last === "") return "ignored";
  if (first === "") return suffix(Number(last), size);
  if (last !== "" && Number(last) < Number(first)) return "unsatisfiable";
  const offset = Number(first);
  if (offset >= size) return "unsatisfiable";
  const end = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  return { offset, length: end - offset + 1 };
}

/** The last `length` bytes. */
function suffix(length: number, size: number): SatisfiedRange | "unsatisfiable" {
  if (length === 0 || size === 0) return "unsatisfiable";
  const taken = Math.min(length, size);
  return { offset: size - taken, length: taken };
}

/**
 * Reads the `Content-Range` of an upload's chunk: `<first>-<last>`, inclusive, without a unit
 * (distribution-spec 1.1, "Pushing a blob in chunks"). Undefined when malformed.
 */
export function parseChunkRange(header: string): { first: number; last: number } | undefined {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(header);
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  return last < first ? undefined : { first, last };
}
