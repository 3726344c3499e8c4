import { type ErrorCode, ModelError } from "./errors.ts";

const maxDepth = 32;
const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = Buffer.from('"\\[]{}');

/**
 * Parses a JSON document from outside: valid UTF-8, at most `maxBytes`, at most 32 levels deep.
 * Throws `code` with `what` in the message; the caller still checks the shape.
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
  if (depthExceeds(bytes, maxDepth))
    throw new ModelError(code, `${what} nests deeper than ${maxDepth} levels`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new ModelError(code, `${what} is not valid JSON`, { cause: error });
  }
}

/** Counts brackets outside strings, so that a hostile document is refused before it is parsed. */
function depthExceeds(bytes: Uint8Array, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) inString = !inString;
    else if (inString) at += byte === backslash ? 1 : 0;
    else if (byte === openBracket || byte === openBrace) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === closeBracket || byte === closeBrace) depth -= 1;
  }
  return false;
}
