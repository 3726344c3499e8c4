/** A parsed Content-Range of bytes (RFC 9110 14.4). */
export interface ContentRange {
  /** First and last byte; absent where the range could not be served (`bytes *` and a size). */
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** Size of the whole, absent when the server does not know it. */
  readonly size: number | undefined;
}

/** Reads a Content-Range header; undefined when it is absent or malformed. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const pattern = /^bytes (?:(?<first>\d{1,15})-(?<last>\d{1,15})|\*)\/(?:(?<size>\d{1,15})|\*)$/i;
  const groups = pattern.exec(text?.trim() ?? "")?.groups;
  if (groups === undefined) return undefined;
  const [first, last, size] = ["first", "last", "size"].map((name) => {
    const digits = groups[name];
    return digits === undefined ? undefined : Number(digits);
  });
  if (last !== undefined && (last < (first ?? 0) || last >= (size ?? Number.POSITIVE_INFINITY)))
    return undefined;
  return { first, last, size };
}
