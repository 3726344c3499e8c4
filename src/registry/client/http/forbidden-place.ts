import { ModelError } from "../../../core/errors.ts";
import type { AddressRefused } from "../../../core/network/guarded-lookup.ts";
import { hostAndPort } from "../../../core/network/network-guard.ts";

export interface SentPlace {
  /** What was asked for. */
  readonly what: string;
  /** The host of the registry that chose the place. */
  readonly registry: string;
  readonly url: URL;
  /** Whether it is the token realm, not where a redirect leads. */
  readonly isRealm: boolean;
}

/**
 * The FORBIDDEN for a place that a registry named and the guard refuses. Which address its name has
 * stays untold: whoever chose the registry need not know what names mean in here.
 */
export function forbiddenPlace(
  { addressClass }: AddressRefused,
  { what, registry, url, isRealm }: SentPlace,
): ModelError {
  const names = isRealm ? "names the token realm" : "redirects to";
  return new ModelError(
    "FORBIDDEN",
    `${what}: ${registry} ${names} ${url.host}, whose address is not allowed (${addressClass})`,
    { hint: `if that is intended, the operator lists ${hostAndPort(url)} in network.allow` },
  );
}
