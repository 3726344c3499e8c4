import { ModelError } from "../../../core/errors.ts";
import type { Answer } from "../http/answer.ts";
import type { Wire } from "../http/wire.ts";
import { type Challenge, isTooNarrow, parseChallenges } from "./challenge.ts";
import type { Credential, CredentialSource } from "./credential.ts";
import { mergeScopes, type Scope } from "./scope.ts";
import { basicAuthorization, requestToken, type Token } from "./token.ts";

/** What a request is for: who may read need not be let in to write. */
export type Purpose = "reading" | "writing";

/** What requests send as Authorization; those who send the same token share one. */
export interface Pass {
  /** Undefined as long as the registry did not ask. */
  readonly header: string | undefined;
  /** What the registry let anybody in for with it; added to by who sees that. */
  readonly workedFor: Set<Purpose>;
}

/** Knows what to send a registry as Authorization; nothing before it asked. */
export interface Authorizer {
  /** For a request with `scopes`: a token that still lives, or a new one. */
  authorize(scopes: readonly Scope[], signal?: AbortSignal): Promise<Pass>;
  /**
   * Learns from a 401 and resolves to what to try next. `refused` is what was sent.
   * Rejects with UNAUTHORIZED when there is nothing else to send.
   */
  renew(
    answer: Answer,
    refused: Pass,
    scopes: readonly Scope[],
    signal?: AbortSignal,
  ): Promise<Pass>;
  /** The error for a 401 that nothing new to send cured. */
  refused(answer: Answer, what: string): ModelError;
  /** A next step for something not found, where nothing was sent that says who we are. */
  anonymousHint(): string | undefined;
}

export interface AuthorizerOptions {
  readonly wire: Wire;
  /** As the user wrote it. */
  readonly host: string;
  readonly origin: URL;
  readonly repository: string;
  readonly credentials: CredentialSource | undefined;
}

/** What a registry asks for. */
export type Scheme =
  | { readonly kind: "basic" }
  | { readonly kind: "bearer"; readonly realm: URL; readonly challenge: Challenge };
type Bearer = Extract<Scheme, { kind: "bearer" }>;
type TokenPass = Pass & Pick<Token, "useUntilMs">;

/** Keeps one registry's tokens: one per set of scopes, one request for it in flight. */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { wire, host, origin, repository, credentials } = options;
  const tokens = new Map<string, TokenPass>();
  const inFlight = new Map<string, Promise<TokenPass>>();
  /** What the registry itself asked for, by what we wanted: some know a repository by another name. */
  const askedScopes = new Map<string, readonly Scope[]>();
  let scheme: Scheme | undefined;
  let credential: Credential | undefined;
  let basic: Pass | undefined;

  const findCredential = async () => {
    credential = await credentials?.get(host, repository);
    return credential;
  };
  const noCredentials = (what: string) =>
    new ModelError("UNAUTHORIZED", `${what}: ${origin.host} asks for credentials`, {
      hint: `no credentials found for ${host}: ballast login ${host}, or set BALLAST_USERNAME and BALLAST_PASSWORD`,
    });
  const refusedCredentials = (message: string, cause?: unknown) =>
    new ModelError("UNAUTHORIZED", message, {
      hint: `credentials for ${host} were refused${credential === undefined ? "" : ` (${credential.origin})`}`,
      cause,
    });

  async function makeBasic(what: string): Promise<Pass> {
    const found = await findCredential();
    if (found === undefined) throw noCredentials(what);
    if (found.kind !== "password")
      throw refusedCredentials(`${what}: ${origin.host} takes a user name and password only`);
    return { header: basicAuthorization(found), workedFor: new Set<Purpose>() };
  }

  async function fetchToken(bearer: Bearer, scopes: readonly Scope[]) {
    const found = await findCredential();
    if (found?.kind === "registry-token")
      return { value: found.token, useUntilMs: Number.POSITIVE_INFINITY };
    const asked = askedScopes.get(scopeKey(scopes)) ?? [];
    try {
      return await requestToken(wire, {
        realm: bearer.realm,
        service: bearer.challenge.parameters.get("service"),
        scopes: mergeScopes([...scopes, ...asked]),
        credential: found,
        host,
      });
    } catch (error) {
      if (!(error instanceof ModelError) || error.code !== "UNAUTHORIZED") throw error;
      if (found === undefined) throw noCredentials(`token for ${host}`);
      throw refusedCredentials(error.message, error);
    }
  }

  /** Shared by all who wait for it, so that no single caller's signal ends it. */
  function sharedToken(bearer: Bearer, scopes: readonly Scope[]) {
    const key = scopeKey(scopes);
    const known = inFlight.get(key);
    if (known !== undefined) return known;
    const fetched = fetchToken(bearer, scopes)
      .then(({ value, useUntilMs }) => {
        const pass = { header: `Bearer ${value}`, useUntilMs, workedFor: new Set<Purpose>() };
        tokens.set(key, pass);
        return pass;
      })
      .finally(() => inFlight.delete(key));
    fetched.catch(() => undefined); // Those who wait get it; nobody may be left to.
    inFlight.set(key, fetched);
    return fetched;
  }

  async function authorize(scopes: readonly Scope[], signal?: AbortSignal): Promise<Pass> {
    if (scheme?.kind !== "bearer")
      return basic ?? { header: undefined, workedFor: new Set<Purpose>() };
    const known = tokens.get(scopeKey(scopes));
    if (known !== undefined && Date.now() < known.useUntilMs) return known;
    return abortable(sharedToken(scheme, scopes), signal);
  }

  return {
    authorize,
    async renew(answer, refused, scopes, signal) {
      const what = `${host}/${repository}`;
      scheme = chooseScheme(answer, origin, what);
      if (scheme.kind === "basic") {
        if (basic === undefined || basic === refused) basic = await makeBasic(what);
        return basic;
      }
      const key = scopeKey(scopes);
      askedScopes.set(key, (scheme.challenge.parameters.get("scope") ?? "").split(" "));
      if (tokens.get(key) === refused) tokens.delete(key);
      return authorize(scopes, signal);
    },
    refused(answer, what) {
      if (credential === undefined) return noCredentials(what);
      const why = isTooNarrow(answer) ? "does not let them do this" : "refused them";
      return refusedCredentials(`${what}: ${origin.host} took the credentials but ${why}`);
    },
    anonymousHint() {
      if (credential !== undefined) return undefined;
      return `no credentials were sent; if ${host}/${repository} is private, ballast login ${host} or set BALLAST_USERNAME and BALLAST_PASSWORD`;
    },
  };
}

/**
 * What to answer a 401 with: Bearer before Basic. A realm over plain HTTP is for registries that are
 * plain HTTP themselves. Throws REGISTRY_PROTOCOL or UNAUTHORIZED naming `what`.
 */
export function chooseScheme(answer: Answer, origin: URL, what: string): Scheme {
  const challenges = parseChallenges(answer.headers["www-authenticate"]);
  const refuse = (why: string) =>
    new ModelError("REGISTRY_PROTOCOL", `${what}: ${origin.host} asks for credentials ${why}`);
  const bearer = challenges.find(({ scheme }) => scheme === "bearer");
  const realm = bearer?.parameters.get("realm");
  if (bearer !== undefined && realm !== undefined && URL.canParse(realm, origin.href)) {
    const url = new URL(realm, origin);
    if (url.protocol === "http:" && origin.protocol === "https:")
      throw refuse("at a token realm without TLS");
    if (!/^https?:$/.test(url.protocol)) throw refuse("at a token realm that is no web address");
    return { kind: "bearer", realm: url, challenge: bearer };
  }
  if (challenges.some(({ scheme }) => scheme === "basic")) return { kind: "basic" };
  throw new ModelError(
    "UNAUTHORIZED",
    `${what}: ${origin.host} asks for credentials in a way that is neither Bearer nor Basic`,
  );
}

function scopeKey(scopes: readonly Scope[]): string {
  return mergeScopes(scopes).join(" ");
}

/** Waits for `shared` until `signal` aborts; `shared` goes on for the others. */
async function abortable<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return shared;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([shared, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
