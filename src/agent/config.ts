import * as v from "valibot";
import { parseSize } from "../core/size.ts";
import {
  networkSchema,
  type ReachConfig,
  type Refuse,
  readConfigFile,
  refuseConfig,
  registriesSchema,
  strings,
} from "../model/reach-config.ts";

/** What an operator decides for a node; docs/operations.md explains each key. */
export interface AgentConfig extends ReachConfig {
  readonly access: ReachConfig["access"] & {
    /** How long what a registry said counts. */
    readonly verdictSeconds: number;
    /** How long a yes counts after that while the registry cannot be asked; 0 is not at all. */
    readonly graceSeconds: number;
  };
  /** Of all deliveries together. Threads are read at the start only. */
  readonly transfer: {
    readonly connections?: number | undefined;
    readonly connectionsPerProvider?: number | undefined;
    readonly threads?: number | undefined;
    readonly bufferBytes?: number | undefined;
  };
  readonly store: {
    /** Bytes of all files: above `highBytes` models go until `lowBytes` are left. */
    readonly highBytes?: number | undefined;
    readonly lowBytes?: number | undefined;
    /** Free space of the filesystem in percent: below `lowFreePercent` models go until `highFreePercent`. */
    readonly lowFreePercent: number;
    readonly highFreePercent: number;
    /** How fast files are read again to find what rotted; 0 is never. */
    readonly scrubBytesPerSecond: number;
  };
}

const seconds = v.pipe(v.number(), v.integer(), v.minValue(0));
const percent = v.pipe(v.number(), v.minValue(0), v.maxValue(100));
const size = v.pipe(
  v.union([v.number(), v.string()], "no size such as 200GiB"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parseSize(String(dataset.value));
    } catch {
      addIssue({ message: `${JSON.stringify(dataset.value)} is no size such as 200GiB` });
      return NEVER;
    }
  }),
);
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));

/** What a file may say; a test holds docs/operations.md against it. */
export const configSchema: v.GenericSchema<unknown, AgentConfig> = v.strictObject({
  registries: registriesSchema,
  access: v.optional(
    v.strictObject({
      ownCredentials: strings,
      verdictSeconds: v.optional(seconds, 600),
      graceSeconds: v.optional(seconds, 86_400),
    }),
    {},
  ),
  network: networkSchema,
  transfer: v.optional(
    v.strictObject({
      connections: v.optional(positive),
      connectionsPerProvider: v.optional(positive),
      threads: v.optional(positive),
      bufferBytes: v.optional(size),
    }),
    {},
  ),
  store: v.optional(
    v.strictObject({
      highBytes: v.optional(size),
      lowBytes: v.optional(size),
      lowFreePercent: v.optional(percent, 10),
      highFreePercent: v.optional(percent, 15),
      scrubBytesPerSecond: v.optional(size, "20MiB"),
    }),
    {},
  ),
});

/** What holds without a file. */
export function defaultConfig(): AgentConfig {
  return v.parse(configSchema, {});
}

/** Reads a YAML file. Rejects with INVALID_ARGUMENT naming the file and the key. */
export async function readConfig(path: string): Promise<AgentConfig> {
  const refuse = refuseConfig(`agent configuration ${path}`);
  return checkWatermarks(await readConfigFile(path, configSchema, refuse), refuse);
}

function checkWatermarks(config: AgentConfig, refuse: Refuse): AgentConfig {
  const { highBytes, lowBytes, lowFreePercent, highFreePercent } = config.store;
  if ((lowBytes ?? highBytes ?? 0) > (highBytes ?? Number.POSITIVE_INFINITY))
    throw refuse("store.lowBytes is above store.highBytes");
  if (lowFreePercent > highFreePercent)
    throw refuse("store.lowFreePercent is above store.highFreePercent");
  return config;
}
