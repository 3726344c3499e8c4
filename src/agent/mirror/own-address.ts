import { hostname, networkInterfaces } from "node:os";
import { isLoopback } from "../../registry/client/endpoint.ts";

/**
 * Tells whether a registry's URL leads to a server of this machine that listens at `address`
 * (`host:port`). Other names for this machine are not known to it.
 */
export function isOwnAddress(registry: URL, address: string): boolean {
  const own = new URL(`http://${address}`);
  if (portOf(registry) !== portOf(own)) return false;
  const name = registry.hostname;
  if (name === own.hostname || name === hostname().toLowerCase()) return true;
  const takesAll = own.hostname === "0.0.0.0" || own.hostname === "[::]";
  if (isLoopback(own.hostname)) return name === "localhost";
  return takesAll && (isLoopback(name) || machineAddresses().has(name));
}

function portOf({ port, protocol }: URL): string {
  return port || (protocol === "https:" ? "443" : "80");
}

function machineAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(
    all.map(({ address, family }) =>
      family === "IPv6" ? new URL(`http://[${address.split("%")[0] ?? ""}]`).hostname : address,
    ),
  );
}
