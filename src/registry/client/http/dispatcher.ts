import { X509Certificate } from "node:crypto";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { Dispatcher } from "undici";
import { ModelError } from "../../../core/errors.ts";
import { isLoopback } from "../endpoint.ts";
import { type ConnectionLog, watchConnections } from "./connection-log.ts";

export interface DispatcherOptions {
  /** PEM text of CAs to trust beside the system's. */
  readonly ca?: string | readonly string[] | undefined;
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or lowercase) are looked up. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Connections kept to each origin. */
  readonly connections: number;
  readonly connectMs: number;
  readonly headersMs: number;
  readonly bodyMs: number;
}

/** Picks the connections for a URL: direct, or through the proxy its scheme has. */
export interface Dispatchers extends AsyncDisposable {
  for(url: URL): Dispatcher;
  /** Whether `url` is reached without any proxy. */
  isDirect(url: URL): boolean;
  /** Those that go through no proxy. */
  readonly connections: ConnectionLog;
}

/**
 * Opens the connections of one repository. Loopback is never proxied. Rejects with
 * INVALID_ARGUMENT for a CA or a proxy that cannot be read. HTTP/1.1 is asked for, since several
 * such connections beat the one connection HTTP/2 would share; `http2` is for hosts with nothing else.
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
  const tls = secureContext === undefined ? {} : { secureContext };
  const direct = new undici.Agent({ ...shared, connect: { ...tls, timeout: options.connectMs } });
  const connections = watchConnections(direct);
  const { httpProxy, httpsProxy, noProxy } = proxies(options.environment);
  if (httpProxy === undefined && httpsProxy === undefined)
    return {
      for: () => direct,
      isDirect: () => true,
      connections,
      [Symbol.asyncDispose]: () => direct.destroy(),
    };
  const proxied = new undici.EnvHttpProxyAgent({
    ...shared,
    // undici falls back to this process's environment for what is absent, not for what is empty.
    httpProxy: httpProxy ?? "",
    httpsProxy: httpsProxy ?? "",
    noProxy: noProxy ?? "",
    connect: { ...tls, timeout: options.connectMs },
    requestTls: tls,
    proxyTls: tls,
  });
  const isDirect = (url: URL) => {
    const proxy = url.protocol === "https:" ? httpsProxy : httpProxy;
    return proxy === undefined || isLoopback(url.host) || isExempt(url, noProxy ?? "");
  };
  return {
    connections,
    isDirect,
    for: (url) => (isDirect(url) ? direct : proxied),
    async [Symbol.asyncDispose]() {
      await Promise.all([direct.destroy(), proxied.destroy()]);
    },
  };
}

interface Proxies {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
}

function proxies(environment: DispatcherOptions["environment"]): Proxies {
  const read = (name: string) => {
    const value = environment[name.toLowerCase()] ?? environment[name];
    return value === undefined || value.trim() === "" ? undefined : value.trim();
  };
  return {
    httpProxy: proxyUrl("HTTP_PROXY", read("HTTP_PROXY")),
    httpsProxy: proxyUrl("HTTPS_PROXY", read("HTTPS_PROXY")),
    noProxy: read("NO_PROXY"),
  };
}

/** Whether NO_PROXY names the host: itself, a domain it is in, with or without a port, or `*`. */
function isExempt(url: URL, noProxy: string): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy.split(/[,\s]+/).some((entry) => {
    const [, name = "", onlyPort = port] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    const domain = name.replace(/^\*?\.?/, "");
    if (entry === "*") return true;
    if (domain === "" || onlyPort !== port) return false;
    return url.hostname === domain || url.hostname.endsWith(`.${domain}`);
  });
}

/** Reads `host:port` as `http://host:port`, as curl does. The value is never shown: it may hold a password. */
function proxyUrl(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new ModelError("INVALID_ARGUMENT", `${name} is no http or https URL`, {
      hint: `${name}=http://proxy.example.com:3128`,
    });
  return text;
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
