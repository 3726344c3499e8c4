import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type { AddressClass, AddressJudge } from "./network-guard.ts";

/** A connection that was not made, since it would have led to an address that a guard refuses. */
export class AddressRefused extends Error {
  readonly code = "ERR_ADDRESS_REFUSED";
  readonly addressClass: AddressClass;

  constructor(host: string, addressClass: AddressClass) {
    super(`${host} leads to an address that is refused (${addressClass})`);
    this.name = "AddressRefused";
    this.addressClass = addressClass;
  }
}

/** Why nothing may be sent to the host of a URL, where that is an address: those are not looked up. */
export function literalRefusal(judge: AddressJudge, { hostname }: URL): AddressClass | undefined {
  const isLiteral = isIP(hostname.replace(/^\[(.*)\]$/, "$1")) !== 0;
  return isLiteral ? judge.refusal(hostname) : undefined;
}

/**
 * A `lookup` for `net.connect` that leaves out the addresses that are refused, and fails with
 * AddressRefused when no other is left. The socket connects to what it gives and looks up nothing
 * else, so that a name cannot mean another address by then.
 */
export function guardedLookup(
  judge: AddressJudge,
  lookup: LookupFunction = systemLookup,
): LookupFunction {
  return (host, options, callback) =>
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      const addresses: LookupAddress[] = typeof found === "string" ? [] : found;
      const open = addresses.filter(({ address }) => judge.refusal(address) === undefined);
      const [first] = open;
      if (first === undefined) {
        const [refused] = addresses.flatMap(({ address }) => judge.refusal(address) ?? []);
        return callback(new AddressRefused(host, refused ?? "no address"), []);
      }
      return options.all === true
        ? callback(null, open)
        : callback(null, first.address, first.family);
    });
}
