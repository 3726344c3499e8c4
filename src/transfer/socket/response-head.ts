/** The head of an HTTP/1.1 response (RFC 9112 4 and 5). */
export interface ResponseHead {
  readonly status: number;
  /** By lowercase name; the values of a repeated name joined with ", " (RFC 9110 5.3). */
  readonly fields: ReadonlyMap<string, string>;
  /** Bytes of the head, the empty line included. */
  readonly byteLength: number;
}

/** Longest head that is read (64 KiB); one that has not ended by then is malformed. */
export const maxHeadBytes = 65_536;

const statusLine = /^HTTP\/1\.1 ([1-9]\d\d)(?: [^\r\n]*)?$/;
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads the head at the start of `bytes`. Strict: whatever is not plain HTTP/1.1, such as HTTP/1.0,
 * folded lines or line ends without CR, is "malformed"; "incomplete" asks for more bytes.
 */
export function parseResponseHead(bytes: Buffer): ResponseHead | "incomplete" | "malformed" {
  const end = bytes.subarray(0, maxHeadBytes).indexOf("\r\n\r\n");
  if (end === -1) return bytes.byteLength < maxHeadBytes ? "incomplete" : "malformed";
  const [first = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const status = statusLine.exec(first)?.[1];
  if (status === undefined) return "malformed";
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    const value = withoutBlanks(line.slice(colon + 1));
    if (!fieldName.test(name) || !isFieldValue(value)) return "malformed";
    const key = name.toLowerCase();
    const before = fields.get(key);
    fields.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status), fields, byteLength: end + 4 };
}

/** Tells whether a text may be the value of a field (RFC 9110 5.5). */
export function isFieldValue(text: string): boolean {
  return fieldValue.test(text);
}

/** Without the spaces and tabs around it; `trim` takes the byte A0 for a space too. */
function withoutBlanks(text: string): string {
  let [start, end] = [0, text.length];
  while (isBlank(text[start])) start += 1;
  while (end > start && isBlank(text[end - 1])) end -= 1;
  return text.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === " " || character === "\t";
}
