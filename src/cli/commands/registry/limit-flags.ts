import type { Command } from "commander";
import { ModelError } from "../../../core/errors.ts";
import { parseSize } from "../../../core/size.ts";
import type { RegistryOptions } from "../../../registry/server/server.ts";
import { parseWait } from "../../flag-values.ts";

type Limits = NonNullable<RegistryOptions["limits"]>;

export interface LimitFlags {
  readonly maxBlob?: string | undefined;
  readonly maxManifest?: string | undefined;
  readonly maxLayers?: string | undefined;
  readonly maxChunk?: string | undefined;
  readonly maxUploads?: string | undefined;
  readonly uploadIdle?: number | undefined;
  readonly minFree?: string | undefined;
  readonly rate?: string | undefined;
  readonly accountRate?: string | undefined;
  readonly totalRate?: string | undefined;
  readonly quota?: string | undefined;
  readonly maxConnections?: string | undefined;
  readonly maxAddressConnections?: string | undefined;
  readonly headTimeout?: number | undefined;
  readonly minSpeed?: string | undefined;
  readonly idleTimeout?: number | undefined;
  readonly stopGrace?: number | undefined;
}

/** Adds a flag for each limit of a registry; docs/registry.md lists their defaults. */
export function addLimitFlags(command: Command): Command {
  return command
    .optionsGroup("Limits:")
    .option("--max-blob <SIZE>", "refuse larger blobs (default: none)")
    .option("--max-manifest <SIZE>", "refuse larger manifests (default: 4MiB)")
    .option("--max-layers <N>", "refuse manifests with more layers (default: none)")
    .option("--max-chunk <SIZE>", "refuse larger chunks of an upload (default: none)")
    .option("--max-uploads <N>", "uploads open at a time (default: 1000)")
    .option("--upload-idle <TIME>", "remove uploads that rest for longer (default: 24h)", parseWait)
    .option("--min-free <SIZE|PERCENT>", "refuse uploads while less of the disk is free, as 5%")
    .option("--rate <N>", "requests per second from one address (default: none)")
    .option("--account-rate <N>", "requests per second by one account (default: none)")
    .option("--total-rate <N>", "requests per second in all (default: none)")
    .option("--quota <N>", "requests per minute by one account, or address without (default: none)")
    .option("--max-connections <N>", "connections at a time (default: 4000)")
    .option("--max-address-connections <N>", "connections from one address (default: none)")
    .option(
      "--head-timeout <TIME>",
      "cut who takes longer to send a request's head (default: 30s)",
      parseWait,
    )
    .option("--min-speed <SIZE>", "cut who sends or takes less in a second (default: 4KiB)")
    .option(
      "--idle-timeout <TIME>",
      "cut connections that are silent for longer (default: 5m)",
      parseWait,
    )
    .option(
      "--stop-grace <TIME>",
      "let running requests end for as long when it stops (default: 5s)",
      parseWait,
    );
}

/** Throws INVALID_ARGUMENT that names the flag. */
export function readLimits(flags: LimitFlags): Limits {
  const { rate, accountRate, totalRate } = flags;
  return {
    maxBlobBytes: size(flags.maxBlob),
    maxManifestBytes: size(flags.maxManifest),
    maxLayers: count("--max-layers", flags.maxLayers),
    maxChunkBytes: size(flags.maxChunk),
    maxUploads: count("--max-uploads", flags.maxUploads),
    uploadIdleMs: flags.uploadIdle,
    ...readMinFree(flags.minFree),
    requestsPerSecond: {
      perAddress: count("--rate", rate),
      perAccount: count("--account-rate", accountRate),
      total: count("--total-rate", totalRate),
    },
    operationsPerMinute: count("--quota", flags.quota),
    maxConnections: count("--max-connections", flags.maxConnections),
    maxConnectionsPerAddress: count("--max-address-connections", flags.maxAddressConnections),
    headersMs: flags.headTimeout,
    minBytesPerSecond: size(flags.minSpeed),
    connectionIdleMs: flags.idleTimeout,
    closeGraceMs: flags.stopGrace,
  };
}

function readMinFree(text: string | undefined): Pick<Limits, "minFreeBytes" | "minFreeShare"> {
  const percent = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text ?? "")?.[1];
  return percent === undefined
    ? { minFreeBytes: size(text) }
    : { minFreeShare: Number(percent) / 100 };
}

function size(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSize(text);
}

function count(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value > 0) return value;
  throw new ModelError("INVALID_ARGUMENT", `${flag}: ${JSON.stringify(text)} is no number above 0`);
}
