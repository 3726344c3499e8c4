import { type ErrorCode, ModelError } from "./errors.ts";

const maxDepth = 32;
/** Values any document may hold; a large one may hold another for each of `bytesPerValue`. */
const fewValues = 1_000_000;
/** 128 MiB of `{}` took 4.8 GB of memory and 78 s; documents of ours have 16 bytes and more to a value. */
const bytesPerValue = 12;
const [quote, backslash, comma, openBracket, closeBracket, openBrace, closeBrace] =
  Buffer.from('"\\,[]{}');

/**
 * Parses a JSON document from outside: valid UTF-8, at most `maxBytes`, at most 32 levels deep, not
 * made of empty values only. Throws `code` with `what` in the message; the caller still checks the shape.
 */
export function parseJson(
  bytes: Uint8Array,
  limits: { maxBytes: number; what: string; code: ErrorCode },
): unknown {
  const { maxBytes, what, code } = limits;
  if (bytes.byteLength > maxBytes)
    throw new ModelError(
      code,
      `${what} is ${bytes.byteLength} bytes, more than the ${maxBytes} allowed`,
    );
  const shape = shapeProblem(bytes);
  if (shape !== undefined) throw new ModelError(code, `${what} ${shape}`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new ModelError(code, `${what} is not valid JSON`, { cause: error });
  }
}

/** Counts brackets and commas outside strings, so that a hostile document is refused before it is parsed. */
function shapeProblem(bytes: Uint8Array): string | undefined {
  const maxValues = fewValues + bytes.byteLength / bytesPerValue;
  let [depth, values, inString] = [0, 1, false];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) inString = !inString;
    else if (inString) at += byte === backslash ? 1 : 0;
    else if (byte === comma) values += 1;
    else if (byte === openBracket || byte === openBrace) {
      values += 1;
      depth += 1;
      if (depth > maxDepth) return `nests deeper than ${maxDepth} levels`;
    } else if (byte === closeBracket || byte === closeBrace) depth -= 1;
  }
  return values > maxValues ? "holds too many values for its size" : undefined;
}
