import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";

/** What TLS trusts with these CAs (PEM text) beside the system's. */
export type Trust = (ca: readonly string[]) => SecureContext;

/** One context for each set of CAs: parsing them again for each connection costs milliseconds. */
export function createTrust(): Trust {
  const contexts = new Map<string, SecureContext>();
  return (ca) => {
    const key = ca.join("");
    const known = contexts.get(key);
    if (known !== undefined) return known;
    const all = ca.length === 0 ? {} : { ca: [...getCACertificates("default"), ...ca] };
    const context = createSecureContext(all);
    contexts.set(key, context);
    return context;
  };
}
