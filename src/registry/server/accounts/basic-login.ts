/** A user name and a password. */
export interface BasicAuth {
  readonly username: string;
  readonly password: string;
}

/** Reads an `Authorization` header (RFC 7617); undefined unless it is a login of that kind. */
export function parseBasicLogin(header: string): BasicAuth | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=]+) *$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString();
  const colon = text.indexOf(":");
  if (colon < 0) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
