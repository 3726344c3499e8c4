import { hash, timingSafeEqual } from "node:crypto";
import { ProtocolError } from "./errors.ts";

/** The one account that may use the registry. */
export interface BasicAuth {
  readonly username: string;
  readonly password: string;
}

/** Checks an `Authorization` header; throws 401 unless it is exactly that account's. */
export function checkAuthorization(auth: BasicAuth | undefined, header: string | undefined): void {
  if (auth === undefined) return;
  const encoded = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(header ?? "")?.[1] ?? "";
  const given = Buffer.from(encoded, "base64").toString();
  if (encoded !== "" && isSame(given, `${auth.username}:${auth.password}`)) return;
  throw new ProtocolError(
    401,
    { code: "UNAUTHORIZED", message: "this registry needs a user name and a password" },
    { "WWW-Authenticate": 'Basic realm="ballast"' },
  );
}

/** Hashes have one length, so that the comparison takes the same time whatever is given. */
function isSame(a: string, b: string): boolean {
  return timingSafeEqual(hash("sha256", a, "buffer"), hash("sha256", b, "buffer"));
}
