import { ModelError } from "../errors.ts";
import { type AddressRanges, readAddressRanges } from "./address-ranges.ts";
import { readIpAddress } from "./ip-address.ts";

/**
 * Where a registry may send us: beside what is always refused (loopback, link-local, unspecified and
 * multicast addresses and those of cloud metadata services) the ranges in `refuse`, but for what
 * `allow` lists. Plain values, so that it can be sent to a thread.
 */
export interface NetworkGuard {
  /** Addresses and CIDR ranges, such as those of pods, Kubernetes services and nodes. */
  readonly refuse?: readonly string[] | undefined;
  /** Addresses and CIDR ranges, and `host[:port]` as URLs name it, wherever that leads. */
  readonly allow?: readonly string[] | undefined;
}

/** What kind of address was refused, in words for a message. */
export type AddressClass =
  | "loopback"
  | "link-local"
  | "unspecified"
  | "multicast"
  | "cloud metadata"
  | "refused range"
  | "no address";

/** A guard that was read. */
export interface AddressJudge {
  /** Whether `allow` lists the host of `url`, so that its addresses are not judged. */
  vouchesFor(url: URL): boolean;
  /** Why nothing may be sent to an address; undefined where it may. */
  refusal(address: string): AddressClass | undefined;
}

const alwaysRefused: readonly (readonly [AddressClass, readonly string[]])[] = [
  ["loopback", ["127.0.0.0/8", "::1"]],
  ["link-local", ["169.254.0.0/16", "fe80::/10"]],
  // With the addresses that once stood for IPv4 ones (RFC 4291 2.5.5.1).
  ["unspecified", ["0.0.0.0/8", "::/96"]],
  ["multicast", ["224.0.0.0/4", "255.255.255.255", "ff00::/8"]],
  // Those that are not link-local: Alibaba's, Azure's, Amazon's and Google's over IPv6.
  ["cloud metadata", ["100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]],
];

/** Reads a guard. Throws INVALID_ARGUMENT that names the entry that cannot be read. */
export function readNetworkGuard({ refuse = [], allow = [] }: NetworkGuard): AddressJudge {
  const refused: readonly (readonly [AddressClass, AddressRanges])[] = [
    ...alwaysRefused.map(([name, set]) => [name, readAddressRanges(set, name)] as const),
    ["refused range", readAddressRanges(refuse, "network.refuse")],
  ];
  const isHost = (entry: string) => !entry.includes("/") && readIpAddress(entry).length === 0;
  const hosts = new Set(allow.filter(isHost).map(readHost));
  const ranges = allow.filter((entry) => !isHost(entry));
  const allowed = readAddressRanges(ranges, "network.allow");
  return {
    vouchesFor: (url) => hosts.has(url.hostname) || hosts.has(hostAndPort(url)),
    refusal(address) {
      const forms = readIpAddress(address);
      if (forms.length === 0) return "no address";
      if (forms.some((form) => allowed.has(form))) return undefined;
      return refused.find(([, set]) => forms.some((form) => set.has(form)))?.[0];
    },
  };
}

/** The host of a URL and its port, also where that is the scheme's own. */
export function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}

/** A `host[:port]` the way URLs have it. */
function readHost(entry: string): string {
  const [, name = "", port] = /^(\[[^\]]+\]|[^:\s/@?#\\*]+)(?::(\d{1,5}))?$/.exec(entry) ?? [];
  const text = `http://${name}`;
  if (name === "" || !URL.canParse(text) || Number(port ?? 1) > 65_535)
    throw new ModelError(
      "INVALID_ARGUMENT",
      `network.allow: ${JSON.stringify(entry.slice(0, 100))} is no host[:port], address or range`,
      { hint: "write storage.example.com, storage.example.com:9000 or 10.0.0.0/8" },
    );
  const { hostname } = new URL(text);
  return port === undefined ? hostname : `${hostname}:${Number(port)}`;
}
