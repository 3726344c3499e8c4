import { X509Certificate } from "node:crypto";
import type { LookupFunction } from "node:net";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { Dispatcher } from "undici";
import { ModelError } from "../../../core/errors.ts";
import {
  AddressRefused,
  guardedLookup,
  literalRefusal,
} from "../../../core/network/guarded-lookup.ts";
import { type NetworkGuard, readNetworkGuard } from "../../../core/network/network-guard.ts";
import type { Timeouts } from "../../../oci/repository.ts";
import { type ConnectionLog, watchConnections } from "./connection-log.ts";
import { readProxies } from "./proxies.ts";

export interface DispatcherOptions extends Timeouts {
  /** PEM text of CAs to trust beside the system's. */
  readonly ca?: string | readonly string[] | undefined;
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or lowercase) are looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Connections kept to each origin. */
  readonly connections: number;
  /** Where connections may lead. Default: anywhere. */
  readonly guard?: NetworkGuard | undefined;
  /** Looks names up for guarded connections. Default: the system's way. */
  readonly lookup?: LookupFunction | undefined;
}

/** Picks the connections for a URL: direct, or through a proxy. */
export interface Dispatchers extends AsyncDisposable {
  /** Throws AddressRefused when the host of `url` is an address that the guard refuses. */
  for(url: URL): Dispatcher;
  /** The guard that connections to `url` must heed, if any. */
  guardFor(url: URL): NetworkGuard | undefined;
  /** Whether `url` is reached without any proxy. */
  isDirect(url: URL): boolean;
  /** Those that go through no proxy. */
  readonly connections: ConnectionLog;
}

/**
 * Opens the connections of one repository. Rejects with INVALID_ARGUMENT for a CA, a proxy or a guard
 * that cannot be read. A proxy looks names up by itself: of what goes through one, the guard judges
 * only hosts that are addresses. HTTP/1.1 is asked for, since several such connections beat the one
 * connection HTTP/2 would share; `http2` is for hosts with nothing else.
 */
export async function openDispatchers(
  options: DispatcherOptions,
  http2: boolean,
): Promise<Dispatchers> {
  const undici = await import("undici");
  const secureContext = trust(options.ca);
  const shared = {
    connections: options.connections,
    headersTimeout: options.headersMs,
    bodyTimeout: options.bodyMs,
    allowH2: http2,
  };
  const connect = {
    timeout: options.connectMs,
    ...(secureContext === undefined ? {} : { secureContext }),
  };
  const direct = new undici.Agent({ ...shared, connect });
  const judge = options.guard && readNetworkGuard(options.guard);
  const judgeFor = (url: URL) => (judge?.vouchesFor(url) === false ? judge : undefined);
  const lookup = judge && guardedLookup(judge, options.lookup);
  const guarded = lookup && new undici.Agent({ ...shared, connect: { ...connect, lookup } });
  const agents = guarded === undefined ? [direct] : [direct, guarded];
  const connections = watchConnections(agents);
  const proxyFor = readProxies(options.environment);
  const proxied = new Map<string, Dispatcher>();
  // Not an EnvHttpProxyAgent: it judges NO_PROXY by rules of its own, and reads this process's environment.
  const through = (uri: string) => {
    const known = proxied.get(uri);
    if (known !== undefined) return known;
    const agent = new undici.ProxyAgent({ ...shared, uri, requestTls: connect, proxyTls: connect });
    proxied.set(uri, agent);
    return agent;
  };
  return {
    connections,
    isDirect: (url) => proxyFor(url) === undefined,
    guardFor: (url) => judgeFor(url) && options.guard,
    for: (url) => {
      const judging = judgeFor(url);
      const refusal = judging && literalRefusal(judging, url);
      if (refusal !== undefined) throw new AddressRefused(url.host, refusal);
      const proxy = proxyFor(url);
      if (proxy !== undefined) return through(proxy);
      return (judging && guarded) ?? direct;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...agents, ...proxied.values()].map((agent) => agent.destroy()));
    },
  };
}

/** One context for all connections: parsing the CAs again for each costs milliseconds. */
function trust(ca: DispatcherOptions["ca"]): SecureContext | undefined {
  const extra = ca === undefined ? [] : [ca].flat();
  if (extra.length === 0) return undefined;
  const certificates = extra.flatMap((pem) => pem.match(pemBlock) ?? []);
  try {
    if (certificates.length === 0) throw new Error("no PEM certificate in it");
    for (const certificate of certificates) new X509Certificate(certificate);
    return createSecureContext({ ca: [...getCACertificates("default"), ...certificates] });
  } catch (error) {
    throw new ModelError("INVALID_ARGUMENT", "the CA file holds no readable certificate", {
      hint: "it must be PEM text: -----BEGIN CERTIFICATE-----",
      cause: error,
    });
  }
}

const pemBlock =
  /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED )?CERTIFICATE-----/g;
