import { isIP } from "node:net";

/** An IP address as text, without brackets and zone. */
export interface IpAddress {
  readonly family: "ipv4" | "ipv6";
  readonly text: string;
}

/** Where IPv6 addresses hold an IPv4 one: the groups they start with, and the group it starts at. */
const carriers = {
  /** `::ffff:a.b.c.d` (RFC 4291 2.5.5.2): the kernel connects to the IPv4 address. */
  mapped: { prefix: [0, 0, 0, 0, 0, 0xffff], at: 6 },
  /** `::ffff:0:a.b.c.d` (RFC 2765). */
  translated: { prefix: [0, 0, 0, 0, 0xffff, 0], at: 6 },
  /** `64:ff9b::a.b.c.d` (RFC 6052 2.1): a gateway connects to the IPv4 address. */
  nat64: { prefix: [0x64, 0xff9b, 0, 0, 0, 0], at: 6 },
  /** `2002:aabb:ccdd::` (RFC 3056). */
  sixToFour: { prefix: [0x2002], at: 1 },
} as const;

/**
 * What a connection to an address may reach: the address, and the IPv4 address it carries. Of an
 * IPv4-mapped one that is the IPv4 address alone. Empty for what is no address.
 */
export function readIpAddress(text: string): readonly IpAddress[] {
  const bare = text.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  const version = isIP(bare);
  if (version === 4) return [{ family: "ipv4", text: bare }];
  if (version !== 6) return [];
  const groups = readGroups(bare);
  const [kind, carrier] =
    Object.entries(carriers).find(([, { prefix }]) =>
      prefix.every((group, at) => groups[at] === group),
    ) ?? [];
  if (carrier === undefined) return [{ family: "ipv6", text: bare }];
  const carried: IpAddress = { family: "ipv4", text: dotted(groups.slice(carrier.at)) };
  return kind === "mapped" ? [carried] : [{ family: "ipv6", text: bare }, carried];
}

/** The eight groups of an IPv6 address; the URL parser writes all of its spellings one way. */
function readGroups(address: string): number[] {
  const { hostname } = new URL(`http://[${address}]`);
  const [head = "", tail = ""] = hostname.slice(1, -1).split("::");
  const read = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [front, back] = [read(head), read(tail)];
  return [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function dotted([high = 0, low = 0]: readonly number[]): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
