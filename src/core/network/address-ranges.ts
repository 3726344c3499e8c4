import { BlockList, isIP } from "node:net";
import { ModelError } from "../errors.ts";
import { type IpAddress, readIpAddress } from "./ip-address.ts";

/** A set of addresses, written as single ones and as CIDR ranges. */
export interface AddressRanges {
  has(address: IpAddress): boolean;
}

/**
 * Reads addresses and CIDR ranges (`10.0.0.0/8`, `fd00::/8`). Throws INVALID_ARGUMENT that names the
 * entry and `what` list it is of.
 */
export function readAddressRanges(entries: readonly string[], what: string): AddressRanges {
  // One for each family: in a list of both, `::/0` would hold every IPv4 address too.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const entry of entries) {
    const { address, prefix } = readRange(entry, what);
    lists[address.family].addSubnet(address.text, prefix, address.family);
  }
  return { has: ({ family, text }) => lists[family].check(text, family) };
}

function readRange(entry: string, what: string): { address: IpAddress; prefix: number } {
  const refuse = (hint: string) =>
    new ModelError(
      "INVALID_ARGUMENT",
      `${what}: ${JSON.stringify(entry.slice(0, 100))} is no range of addresses`,
      { hint },
    );
  const [, text = "", bits] = /^(.+?)(?:\/(\d{1,3}))?$/.exec(entry) ?? [];
  const [address] = readIpAddress(text);
  if (address === undefined || text.includes("%")) throw refuse("write 10.0.0.0/8 or fd00::/8");
  const width = address.family === "ipv4" ? 32 : 128;
  if (width === 32 && isIP(text) !== 4) throw refuse("write IPv4 ranges as such: 10.0.0.0/8");
  const prefix = bits === undefined ? width : Number(bits);
  if (prefix > width) throw refuse(`at most ${width} bits can be fixed`);
  return { address, prefix };
}
