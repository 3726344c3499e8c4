import { isRecord } from "../../../core/chunk-index.ts";
import { ModelError } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import { discard, readBody } from "../http/answer.ts";
import { refusal } from "../http/refusal.ts";
import type { Wire, WireRequest } from "../http/wire.ts";
import type { Credential } from "./credential.ts";
import type { Scope } from "./scope.ts";

/** A bearer token and when to stop using it. */
export interface Token {
  readonly value: string;
  /** Milliseconds since the epoch, with a margin before the real end. */
  readonly useUntilMs: number;
}

export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly Scope[];
  /** None asks for an anonymous token. */
  readonly credential: Credential | undefined;
  /** The registry that sent us here, for messages. */
  readonly host: string;
}

const maxTokenBytes = 1_048_576;
const defaultLifeSeconds = 60;
const clientId = "ballast";

/**
 * Asks a token realm (distribution's token specification): GET with Basic, or the OAuth2 POST for
 * an identity token. Rejects with UNAUTHORIZED when the realm refuses, REGISTRY_UNAVAILABLE when it
 * cannot be had, REGISTRY_PROTOCOL when its answer holds no token.
 */
export async function requestToken(wire: Wire, request: TokenRequest): Promise<Token> {
  const what = `token for ${request.host} from ${request.realm.host}`;
  const sentMs = Date.now();
  const answer = await wire.send("token", { ...tokenRequest(request), what });
  // OAuth2 refuses an identity token with 400 invalid_grant.
  const refusals = request.credential?.kind === "identity-token" ? [400, 401, 403] : [401, 403];
  if (refusals.includes(answer.status)) {
    await discard(answer);
    throw new ModelError("UNAUTHORIZED", `${what}: the credentials were refused`);
  }
  if (answer.status !== 200) throw await refusal(answer, { what });
  return readToken(await readBody(answer, maxTokenBytes, { what }), what, sentMs);
}

function tokenRequest(request: TokenRequest): Omit<WireRequest, "what"> {
  const { realm, service, scopes, credential } = request;
  if (credential?.kind === "identity-token") {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: credential.token,
      client_id: clientId,
    });
    if (service !== undefined) form.set("service", service);
    if (scopes.length > 0) form.set("scope", scopes.join(" "));
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return { method: "POST", url: realm, headers, body: () => Buffer.from(form.toString()) };
  }
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  const headers =
    credential?.kind === "password" ? { authorization: basicAuthorization(credential) } : undefined;
  return { method: "GET", url, headers };
}

/** The Authorization header of RFC 7617. */
export function basicAuthorization(credential: { username: string; password: string }): string {
  const text = `${credential.username}:${credential.password}`;
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

function readToken(bytes: Buffer | undefined, what: string, sentMs: number): Token {
  const refuse = (why: string) => new ModelError("REGISTRY_PROTOCOL", `${what}: ${why}`);
  if (bytes === undefined) throw refuse(`the answer is longer than ${maxTokenBytes} bytes`);
  const limits = { maxBytes: maxTokenBytes, what, code: "REGISTRY_PROTOCOL" } as const;
  const root = parseJson(bytes, limits);
  const named = isRecord(root) ? [root["token"], root["access_token"]] : [];
  const value = named.find((candidate) => typeof candidate === "string" && candidate !== "");
  if (typeof value !== "string" || !/^[\x21-\x7e]+$/.test(value))
    throw refuse("the answer holds no token");
  const stated = isRecord(root) ? root["expires_in"] : undefined;
  const lifeSeconds =
    typeof stated === "number" && Number.isFinite(stated) && stated > 0
      ? stated
      : defaultLifeSeconds;
  const marginSeconds = Math.min(30, lifeSeconds / 4);
  return { value, useUntilMs: sentMs + (lifeSeconds - marginSeconds) * 1000 };
}
