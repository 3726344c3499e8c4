import {
  connect as connectPlain,
  type LookupFunction,
  Socket,
  type TcpNetConnectOpts,
} from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import { guardedLookup, literalRefusal } from "../../core/network/guarded-lookup.ts";
import { type NetworkGuard, readNetworkGuard } from "../../core/network/network-guard.ts";

export interface SocketOptions {
  readonly url: URL;
  /** Trusted for https. */
  readonly secureContext: SecureContext | undefined;
  /** Where it may lead; it ends before it began where it may not. Default: anywhere. */
  readonly guard?: NetworkGuard | undefined;
  /** Looks names up for a guarded connection. Default: the system's way. */
  readonly lookup?: LookupFunction | undefined;
}

/** Starts to connect to the origin of a URL; `readyEvent` follows before anything may be sent. */
export function openSocket(
  options: SocketOptions,
  onread: NonNullable<TcpNetConnectOpts["onread"]>,
): Socket {
  const { url, secureContext } = options;
  const guarded = guardedAddress(options);
  if (guarded === undefined) return new Socket().destroy();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const secure = url.protocol === "https:";
  const port = Number(url.port || (secure ? 443 : 80));
  const address = { host, port, noDelay: true, onread, ...guarded };
  if (!secure) return connectPlain(address);
  // A name only: TLS has no server name for addresses (RFC 6066 3).
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const tls = { ...address, ...servername, ALPNProtocols: ["http/1.1"] };
  return connectTls(secureContext === undefined ? tls : { ...tls, secureContext });
}

/** How to look the host up; undefined when it is itself an address that is refused. */
function guardedAddress({
  url,
  guard,
  lookup,
}: SocketOptions): { lookup?: LookupFunction } | undefined {
  if (guard === undefined) return {};
  const judge = readNetworkGuard(guard);
  if (literalRefusal(judge, url) !== undefined) return undefined;
  return { lookup: guardedLookup(judge, lookup) };
}

/** What a socket says when it is connected, and the certificate of the other side was checked. */
export function readyEvent({ protocol }: URL): "secureConnect" | "connect" {
  return protocol === "https:" ? "secureConnect" : "connect";
}
