import { maxManifestBytes } from "../../oci/manifest.ts";

/** Requests a second; each may come in a burst of twice as many. */
interface RequestRates {
  /** From one client address (an IPv6 network of 64 bits counts as one); default none. */
  readonly perAddress?: number | undefined;
  /** By one account, from wherever; default none. */
  readonly perAccount?: number | undefined;
  /** In all; default none. */
  readonly total?: number | undefined;
}

/** What a registry bounds; docs/registry.md says what is answered above each. */
export interface RegistryLimits {
  /** Largest blob in bytes; default none. */
  readonly maxBlobBytes?: number | undefined;
  /** Largest manifest in bytes; default, and at most, 4 MiB. */
  readonly maxManifestBytes?: number | undefined;
  /** Layers of a manifest, manifests of an index; default none. */
  readonly maxLayers?: number | undefined;
  /** Largest body of a PATCH that says how long it is; default none. */
  readonly maxChunkBytes?: number | undefined;
  /** Uploads open at a time; default 1000. */
  readonly maxUploads?: number | undefined;
  /** How long an upload may rest between two requests, in milliseconds; default a day. */
  readonly uploadIdleMs?: number | undefined;
  readonly requestsPerSecond?: RequestRates | undefined;
  /** A quota of requests for each account, or address without one, in each minute; default none. */
  readonly operationsPerMinute?: number | undefined;
  /** With fewer bytes free on the disk, uploads are refused; default 0. */
  readonly minFreeBytes?: number | undefined;
  /** The same as a share of the disk, from 0 to 1; default 0. */
  readonly minFreeShare?: number | undefined;
  /** Connections at a time; default 4000. */
  readonly maxConnections?: number | undefined;
  /** Connections at a time from one client address; default none. */
  readonly maxConnectionsPerAddress?: number | undefined;
  /** How long the head of a request and a TLS handshake may take, in milliseconds; default 30 seconds. */
  readonly headersMs?: number | undefined;
  /** Least bytes a second of a body, and of an answer that is read; default 4096. */
  readonly minBytesPerSecond?: number | undefined;
  /** Over how long that rate is taken, in milliseconds; default one minute. */
  readonly paceMs?: number | undefined;
  /** How long a connection may stay silent, in milliseconds; default five minutes. */
  readonly connectionIdleMs?: number | undefined;
  /** How long `close` waits for running requests, in milliseconds; default five seconds. */
  readonly closeGraceMs?: number | undefined;
}

/** The limits that routes look at, with their defaults. */
export interface ContentBounds {
  readonly maxBlobBytes: number;
  readonly maxManifestBytes: number;
  readonly maxLayers: number;
}

export function contentBounds(limits: RegistryLimits): ContentBounds {
  return {
    maxBlobBytes: limits.maxBlobBytes ?? Number.MAX_SAFE_INTEGER,
    maxManifestBytes: Math.min(limits.maxManifestBytes ?? maxManifestBytes, maxManifestBytes),
    maxLayers: limits.maxLayers ?? Number.MAX_SAFE_INTEGER,
  };
}
