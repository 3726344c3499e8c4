import { ProtocolError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";

/** Answers 412 to who wants only content that this is not (RFC 9110, section 13.1.1). */
export function requireMatch({ request }: Pick<Exchange, "request">, etag: string): void {
  const header = request.headers["if-match"];
  if (header === undefined) return;
  const wanted = header.split(",").map((part) => part.trim());
  if (wanted.includes("*") || wanted.includes(etag)) return;
  throw new ProtocolError(
    412,
    { code: "UNSUPPORTED", message: "the content is not what If-Match names" },
    { ETag: etag },
  );
}
