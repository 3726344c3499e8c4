import { checkCount } from "../../core/count.ts";
import type { Timeouts } from "../../oci/repository.ts";

/** How long the other side may be silent, in milliseconds, before a request has failed for a moment. */
export interface RegistryTimeouts {
  /** To set up a connection. Default 10000. */
  readonly connectMs?: number | undefined;
  /** Before an answer. Default 30000. */
  readonly headersMs?: number | undefined;
  /** Between two pieces of a body, either way. Default 30000. */
  readonly bodyMs?: number | undefined;
  /** Before it has stored what was put. Default 600000: some move the whole blob first. */
  readonly commitMs?: number | undefined;
}

/** The most that a timer of Node waits; it does not wait at all for more. */
const mostMs = 2_147_483_647;

/** Puts in the defaults. Throws INVALID_ARGUMENT for what is no time to wait. */
export function readTimeouts(
  timeouts: RegistryTimeouts = {},
): Timeouts & { readonly commitMs: number } {
  const read = (name: keyof RegistryTimeouts, defaultMs: number) =>
    checkCount(name, timeouts[name] ?? defaultMs, mostMs);
  return {
    connectMs: read("connectMs", 10_000),
    headersMs: read("headersMs", 30_000),
    bodyMs: read("bodyMs", 30_000),
    commitMs: read("commitMs", 600_000),
  };
}
