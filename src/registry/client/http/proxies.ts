import { ModelError } from "../../../core/errors.ts";
import { isLoopback } from "../endpoint.ts";

/** Tells which proxy a URL is reached through; undefined is none. */
export type ProxyChoice = (url: URL) => string | undefined;

/**
 * Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or lowercase). Loopback is never proxied. Throws
 * INVALID_ARGUMENT for a proxy that is no web address.
 */
export function readProxies(
  environment: Readonly<Record<string, string | undefined>>,
): ProxyChoice {
  const read = (name: string) => {
    const value = environment[name.toLowerCase()] ?? environment[name];
    return value === undefined || value.trim() === "" ? undefined : value.trim();
  };
  const httpProxy = proxyUrl("HTTP_PROXY", read("HTTP_PROXY"));
  const httpsProxy = proxyUrl("HTTPS_PROXY", read("HTTPS_PROXY"));
  const exempt = (read("NO_PROXY") ?? "").split(/[,\s]+/).filter((entry) => entry !== "");
  return (url) => {
    const proxy = url.protocol === "https:" ? httpsProxy : httpProxy;
    if (proxy === undefined || isLoopback(url.host)) return undefined;
    return exempt.some((entry) => names(entry, url)) ? undefined : proxy;
  };
}

/** Whether an entry of NO_PROXY means the host: itself, a domain it is in, with or without a port, or `*`. */
function names(entry: string, url: URL): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  // An IPv6 address has a port only behind its brackets.
  const [, name = "", onlyPort = port] =
    /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
  if (onlyPort !== port) return false;
  const host = bareHost(url.hostname);
  const domain = bareHost(name).replace(/^\*?\.?/, "");
  return name === "*" || (domain !== "" && (host === domain || host.endsWith(`.${domain}`)));
}

/** A host without the brackets of an IPv6 address and the dot of a full domain name. */
function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1").replace(/(.)\.$/, "$1");
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
