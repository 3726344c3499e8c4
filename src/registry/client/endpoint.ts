import { ModelError } from "../../core/errors.ts";

/** The name people write for Docker Hub, the host that serves its API, and all of its names. */
const hubName = "docker.io";
const hubApiHost = `registry-1.${hubName}`;
const hubNames: readonly string[] = [hubName, `index.${hubName}`, hubApiHost];
/** The key under which Docker's tools file Docker Hub's credentials. */
const hubCredentialKey = `https://index.${hubName}/v1/`;

/** Tells whether `host` is one of Docker Hub's names. */
export function isDockerHub(host: string): boolean {
  return hubNames.includes(host.toLowerCase());
}

/** The key under which Docker's tools file a host's credentials. */
export function credentialKey(host: string): string {
  return isDockerHub(host) ? hubCredentialKey : host;
}

/**
 * The origin that serves `host`'s API. Plain HTTP only where asked for, by default for loopback.
 * Throws INVALID_ARGUMENT when `host` is no `host[:port]`.
 */
export function registryOrigin(host: string, plainHttp: boolean | undefined): URL {
  const scheme = (plainHttp ?? isLoopback(host)) ? "http" : "https";
  const text = `${scheme}://${isDockerHub(host) ? hubApiHost : host}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || /[/\\@?#\s]/.test(host))
    throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(host)} is no registry host[:port]`);
  return url;
}

/** Tells whether `host` (with or without port) names this machine: localhost, 127.0.0.0/8, [::1]. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return (
    name === "localhost" ||
    name === "[::1]" ||
    name === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}
