import { ProtocolError } from "../errors.ts";
import type { RegistryLimits } from "../limits.ts";
import { MinuteQuota } from "./minute-quota.ts";
import { TokenBuckets } from "./token-buckets.ts";

/** Who asks. */
interface Asker {
  readonly address: string;
  /** The account; undefined for whoever sent none. */
  readonly user: string | undefined;
}

/** Bounds how often is asked. */
export interface RequestPace {
  /** Before anything is known but the address. Throws 429 TOOMANYREQUESTS with `Retry-After`. */
  admitAddress(address: string): void;
  /** Once the account is known, if there is one. Throws the same. */
  admitAsker(asker: Asker): void;
}

export function createRequestPace({
  requestsPerSecond: rates = {},
  operationsPerMinute,
}: RegistryLimits): RequestPace {
  const buckets = (rate: number | undefined) => rate && new TokenBuckets(rate, rate * 2);
  const perAddress = buckets(rates.perAddress);
  const perAccount = buckets(rates.perAccount);
  const total = buckets(rates.total);
  const quota =
    operationsPerMinute === undefined ? undefined : new MinuteQuota(operationsPerMinute);
  return {
    admitAddress: (address) => {
      refuse(perAddress && perAddress.take(address), "from this address");
      refuse(total && total.take(""), "to this registry");
    },
    admitAsker: ({ address, user }) => {
      if (user !== undefined) refuse(perAccount && perAccount.take(user), "by this account");
      const key = user === undefined ? `address ${address}` : `user ${user}`;
      refuse(quota?.take(key), "in this minute");
    },
  };
}

function refuse(waitSeconds: number | undefined, what: string): void {
  if (waitSeconds) throw tooManyRequests(`too many requests ${what}`, waitSeconds);
}

/** 429 with the whole seconds to wait. */
export function tooManyRequests(message: string, waitSeconds: number): ProtocolError {
  return new ProtocolError(
    429,
    { code: "TOOMANYREQUESTS", message },
    { "Retry-After": String(Math.max(1, Math.ceil(waitSeconds))) },
  );
}
