import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { parse } from "yaml";
import { ModelError, systemCode } from "../core/errors.ts";
import { readNetworkGuard } from "../core/network/network-guard.ts";

/** What an operator decides about registries; docs/operations.md explains each key. */
export interface ReachConfig {
  readonly registries: {
    /** Hosts that references may name; undefined: any. */
    readonly allow?: string[] | undefined;
    /** Hosts that are spoken to without TLS, beside loopback. */
    readonly plainHttp: string[];
    /** Files of CA certificates to trust beside the system's. */
    readonly caFiles: string[];
  };
  readonly access: {
    /** Repositories that our own credentials serve for pods without: names, `*` at the end. */
    readonly ownCredentials: string[];
  };
  /** Where a registry may send us for tokens and blobs; see `NetworkGuard`. */
  readonly network: {
    readonly refuse: string[];
    readonly allow: string[];
  };
}

type Optional<T, Default> = v.OptionalSchema<v.GenericSchema<unknown, T>, Default>;

/** A list of words, by default empty. */
export const strings: v.OptionalSchema<
  v.ArraySchema<v.GenericSchema<string>, undefined>,
  readonly []
> = v.optional(v.array(v.pipe(v.string(), v.minLength(1))), []);

/** The key `registries` of a configuration. */
export const registriesSchema: Optional<ReachConfig["registries"], object> = v.optional(
  v.strictObject({
    allow: v.optional(v.array(v.string())),
    plainHttp: strings,
    caFiles: strings,
  }),
  {},
);

/** The key `network` of a configuration. */
export const networkSchema: Optional<ReachConfig["network"], object> = v.optional(
  v.strictObject({ refuse: strings, allow: strings }),
  {},
);

/** Makes the error for what is wrong with a configuration. */
export type Refuse = (why: string, cause?: unknown) => ModelError;

/** Says whose file it is, and where its keys are explained. */
export function refuseConfig(what: string): Refuse {
  return (why, cause) =>
    new ModelError("INVALID_ARGUMENT", `${what}: ${why}`, {
      hint: "docs/operations.md lists the keys",
      cause,
    });
}

/** Reads a YAML file of that shape. Rejects as `refuse` says, with the key that is wrong. */
export async function readConfigFile<T extends ReachConfig>(
  path: string,
  schema: v.GenericSchema<unknown, T>,
  refuse: Refuse,
): Promise<T> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw refuse(`cannot be read (${systemCode(error) ?? "unknown error"})`, error);
  });
  const parsed = v.safeParse(schema, parseYaml(text, refuse) ?? {});
  if (parsed.success) {
    readNetworkGuard(parsed.output.network);
    return parsed.output;
  }
  const [issue] = parsed.issues;
  throw refuse(`${v.getDotPath(issue) ?? "the document"}: ${issue.message}`);
}

function parseYaml(text: string, refuse: Refuse): unknown {
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw refuse(error instanceof Error ? (error.message.split("\n")[0] ?? "") : "no YAML", error);
  }
}
