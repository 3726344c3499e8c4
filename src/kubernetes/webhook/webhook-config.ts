import * as v from "valibot";
import {
  networkSchema,
  type ReachConfig,
  readConfigFile,
  refuseConfig,
  registriesSchema,
  strings,
} from "../../model/reach-config.ts";

/**
 * What a file may say: `registries`, `network` and `access.ownCredentials` as an agent's does. An
 * agent's own file will do: what else it says is of no concern here.
 */
const configSchema: v.GenericSchema<unknown, ReachConfig> = v.strictObject({
  registries: registriesSchema,
  access: v.optional(v.object({ ownCredentials: strings }), {}),
  network: networkSchema,
  transfer: v.optional(v.unknown()),
  store: v.optional(v.unknown()),
});

/** Reads a YAML file, or has what holds without one. Rejects with INVALID_ARGUMENT naming file and key. */
export async function readWebhookConfig(path: string | undefined): Promise<ReachConfig> {
  if (path === undefined) return v.parse(configSchema, {});
  return readConfigFile(path, configSchema, refuseConfig(`webhook configuration ${path}`));
}
