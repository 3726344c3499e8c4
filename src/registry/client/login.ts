import { ModelError } from "../../core/errors.ts";
import { hostAndPort, type NetworkGuard } from "../../core/network/network-guard.ts";
import type { Abortable } from "../../core/progress.ts";
import { chooseScheme, type Scheme } from "./auth/authorizer.ts";
import type { Credential } from "./auth/credential.ts";
import type { Login } from "./auth/login-file.ts";
import { basicAuthorization, requestToken } from "./auth/token.ts";
import { registryOrigin } from "./endpoint.ts";
import { type Answer, discard } from "./http/answer.ts";
import { refusal } from "./http/refusal.ts";
import { type RetryOptions, retrying } from "./http/retry.ts";
import { openWire, type Wire } from "./http/wire.ts";
import { type RegistryTimeouts, readTimeouts } from "./timeouts.ts";

export interface VerifyLoginOptions extends Abortable {
  /** `host[:port]`. */
  readonly host: string;
  readonly login: Login;
  readonly plainHttp?: boolean | undefined;
  readonly ca?: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly timeouts?: RegistryTimeouts | undefined;
  readonly guard?: NetworkGuard | undefined;
  readonly retry?: RetryOptions | undefined;
}

/**
 * Tries a login at the root of a registry's API: false where the registry asks for none, and does not
 * refuse this one: that may mean nothing. Rejects with UNAUTHORIZED that names who refused it, the registry or its token
 * endpoint, and with REGISTRY_PROTOCOL for what is no registry.
 */
export async function verifyLogin(options: VerifyLoginOptions): Promise<boolean> {
  const { host, login, environment, ca, guard, retry = {}, signal } = options;
  const origin = registryOrigin(host, options.plainHttp);
  const { commitMs: _, ...timeouts } = readTimeouts(options.timeouts);
  const allowed = guard && { ...guard, allow: [hostAndPort(origin), ...(guard.allow ?? [])] };
  const way = { ca, environment, userAgent: "ballast", connections: 1, guard: allowed };
  await using wire = await openWire({ ...way, registry: origin.host, ...timeouts });
  const registry = { wire, host, origin, signal };
  return await retrying(retry, signal, () => tryLogin(registry, login));
}

interface AskedRegistry extends Abortable {
  readonly wire: Wire;
  readonly host: string;
  readonly origin: URL;
}

async function tryLogin(registry: AskedRegistry, login: Login): Promise<boolean> {
  const { host, origin } = registry;
  const asked = await ask(registry, undefined);
  if (asked.status === 200) {
    await discard(asked);
    // Who lets everybody read may refuse a wrong login all the same.
    const unasked = await ask(registry, basicAuthorization(login));
    await discard(unasked);
    if (unasked.status === 401) throw refusedBy(registry);
    return false;
  }
  if (asked.status !== 401) throw await noRegistry(asked, registry);
  await discard(asked);
  const scheme = chooseScheme(asked, origin, host);
  const answer = await ask(registry, await pass(registry, scheme, login));
  if (answer.status === 200) return discard(answer).then(() => true);
  if (answer.status !== 401 && answer.status !== 403) throw await noRegistry(answer, registry);
  await discard(answer);
  if (scheme.kind === "basic") throw refusedBy(registry);
  throw new ModelError(
    "UNAUTHORIZED",
    `login at ${host}: ${scheme.realm.host} gave a token, and the registry ${origin.host} refused that`,
    { hint: "nothing was written" },
  );
}

function refusedBy({ host, origin }: AskedRegistry): ModelError {
  return new ModelError(
    "UNAUTHORIZED",
    `login at ${host}: the registry ${origin.host} refused the user name or the password`,
    { hint: "nothing was written" },
  );
}

async function pass(registry: AskedRegistry, scheme: Scheme, login: Login): Promise<string> {
  const credential: Credential = { kind: "password", ...login, origin: "from this login" };
  if (scheme.kind === "basic") return basicAuthorization(login);
  const { realm, challenge } = scheme;
  try {
    const token = await requestToken(registry.wire, {
      realm,
      service: challenge.parameters.get("service"),
      scopes: [],
      credential,
      host: registry.host,
    });
    return `Bearer ${token.value}`;
  } catch (error) {
    if (!(error instanceof ModelError) || error.code !== "UNAUTHORIZED") throw error;
    throw new ModelError(
      "UNAUTHORIZED",
      `login at ${registry.host}: its token endpoint ${realm.host} refused the user name or the password`,
      { hint: "nothing was written", cause: error },
    );
  }
}

function ask(registry: AskedRegistry, authorization: string | undefined): Promise<Answer> {
  const { wire, host, origin, signal } = registry;
  return wire.send("registry", {
    method: "GET",
    url: new URL("/v2/", origin),
    headers: authorization === undefined ? {} : { authorization },
    what: `login at ${host}`,
    signal,
  });
}

async function noRegistry(answer: Answer, { host, origin }: AskedRegistry): Promise<ModelError> {
  const { status } = answer;
  if (status === 403 || status === 408 || status === 429 || status >= 500)
    return refusal(answer, { what: `login at ${host}` });
  await discard(answer);
  return new ModelError(
    "REGISTRY_PROTOCOL",
    `login at ${host}: ${origin.host} answered ${status} to GET /v2/, as no registry does`,
    { hint: "check the host and the port" },
  );
}
