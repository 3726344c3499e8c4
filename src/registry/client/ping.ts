import type { Abortable } from "../../core/progress.ts";
import { Challenged, type Forwarded } from "./auth/forwarded.ts";
import { registryOrigin } from "./endpoint.ts";
import { discard } from "./http/answer.ts";
import { openWire } from "./http/wire.ts";
import type { RegistryRepositoryOptions } from "./registry-repository.ts";
import { readTimeouts } from "./timeouts.ts";

type Way = "host" | "plainHttp" | "ca" | "environment" | "userAgent" | "timeouts";

export interface PingOptions extends Abortable, Pick<RegistryRepositoryOptions, Way> {
  readonly onBehalfOf: Forwarded;
}

/**
 * Asks for the root of a registry's API on somebody's behalf, as every login begins. Resolves unless
 * it asks for credentials (`Challenged`) or cannot be reached (REGISTRY_UNAVAILABLE).
 */
export async function pingRegistry(options: PingOptions): Promise<void> {
  const { host, plainHttp, ca, environment = {}, onBehalfOf, userAgent = "ballast" } = options;
  const origin = registryOrigin(host, plainHttp);
  const { commitMs: _, ...timeouts } = readTimeouts(options.timeouts);
  const way = { ca, environment, userAgent, connections: 1, registry: origin.host };
  await using wire = await openWire({ ...way, ...timeouts });
  const { authorization } = onBehalfOf;
  const answer = await wire.send("registry", {
    method: "GET",
    url: new URL("/v2/", origin),
    headers: authorization === undefined ? {} : { authorization },
    what: `the API of ${host}`,
    signal: options.signal,
  });
  await discard(answer);
  if (answer.status === 401) throw new Challenged(host, onBehalfOf, answer);
}
