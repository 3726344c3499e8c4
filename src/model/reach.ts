import { readFile } from "node:fs/promises";
import { ModelError } from "../core/errors.ts";
import {
  parseReference,
  type Reference,
  type RegistryReference,
  repositoryName,
} from "../core/reference.ts";
import type { ExplicitCredential } from "../registry/client/credentials.ts";
import type { ConnectionOptions } from "./connection.ts";
import type { ReachConfig } from "./reach-config.ts";

/** Somebody for whom a registry is reached. */
interface Caller {
  readonly reference: Reference;
  /** Absent for an administrator. */
  readonly subject: unknown;
  readonly credential: ExplicitCredential | undefined;
}

/** Which registries may be reached, for whom, and how. */
export interface Reach {
  /** Rejects INVALID_REFERENCE, and FORBIDDEN for a registry that the operator does not name. */
  parse(text: string): RegistryReference;
  /**
   * How to reach the registry of a reference: with the caller's credential; else with this process's
   * own, for an administrator and where the operator says so; else with none.
   */
  connectionFor(caller: Caller): ConnectionOptions;
  /** Reads what a new configuration names. Rejects with INVALID_ARGUMENT; the old one stays then. */
  configure(config: ReachConfig): Promise<void>;
}

/** `environment` holds this process's own credentials and proxies. Rejects with INVALID_ARGUMENT. */
export async function openReach(
  config: ReachConfig,
  environment: ConnectionOptions["environment"],
): Promise<Reach> {
  let current = config;
  let ca = await readAuthorities(config);
  const proxies = proxiesOf(environment ?? {});

  function isOwn(reference: RegistryReference): boolean {
    const name = repositoryName(reference);
    return current.access.ownCredentials.some((entry) =>
      entry.endsWith("*") ? name.startsWith(entry.slice(0, -1)) : name === entry,
    );
  }

  return {
    parse: (text) => {
      const reference = parseReference(text);
      if (reference.kind === "layout")
        throw new ModelError(
          "INVALID_REFERENCE",
          `${text} is a folder: an agent serves registries`,
          {
            hint: "push the model to a registry first: ballast push",
          },
        );
      const { allow } = current.registries;
      if (allow === undefined || allow.includes(reference.host)) return reference;
      throw new ModelError("FORBIDDEN", `this node reads no models from ${reference.host}`, {
        hint: "an operator can add it to registries.allow in the agent's configuration",
      });
    },
    connectionFor: ({ reference, subject, credential }) => {
      if (reference.kind === "layout") throw new Error("a layout has no connection");
      const plainHttp = current.registries.plainHttp.includes(reference.host) ? true : undefined;
      const shared = { plainHttp, ca, guard: current.network };
      if (credential !== undefined)
        return { ...shared, credentials: credential, environment: proxies };
      const own = subject === undefined || isOwn(reference);
      return { ...shared, environment: own ? environment : proxies };
    },
    configure: async (next) => {
      ca = await readAuthorities(next);
      current = next;
    },
  };
}

async function readAuthorities({ registries }: ReachConfig): Promise<string[]> {
  return Promise.all(
    registries.caFiles.map((path) =>
      readFile(path, "utf8").catch((error: unknown) => {
        throw new ModelError("INVALID_ARGUMENT", `CA file ${path} cannot be read`, {
          cause: error,
        });
      }),
    ),
  );
}

/** What of the environment says how to get out, and nothing that lets in. */
function proxiesOf(environment: Readonly<Record<string, string | undefined>>) {
  const names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [
    name,
    name.toLowerCase(),
  ]);
  const found = names.map((name) => [name, environment[name]] as const);
  // Without a home no file of credentials is looked for.
  return { ...Object.fromEntries(found), HOME: "/nonexistent", XDG_CONFIG_HOME: "/nonexistent" };
}
