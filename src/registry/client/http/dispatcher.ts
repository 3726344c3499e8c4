import { X509Certificate } from "node:crypto";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { Dispatcher } from "undici";
import { ModelError } from "../../../core/errors.ts";
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
}

/** Picks the connections for a URL: direct, or through a proxy. */
export interface Dispatchers extends AsyncDisposable {
  for(url: URL): Dispatcher;
  /** Whether `url` is reached without any proxy. */
  isDirect(url: URL): boolean;
  /** Those that go through no proxy. */
  readonly connections: ConnectionLog;
}

/**
 * Opens the connections of one repository. Rejects with INVALID_ARGUMENT for a CA or a proxy that
 * cannot be read. HTTP/1.1 is asked for, since several such connections beat the one connection
 * HTTP/2 would share; `http2` is for hosts with nothing else.
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
  const connections = watchConnections(direct);
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
    for: (url) => {
      const proxy = proxyFor(url);
      return proxy === undefined ? direct : through(proxy);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([direct, ...proxied.values()].map((agent) => agent.destroy()));
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
