import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { KeyPair } from "./certificates.ts";

/** Distribution accepts a token this long after its `exp`, so `exp` is written that much earlier. */
const leewaySeconds = 60;

export interface TokenServerOptions {
  /** Signs the tokens; the registry trusts its certificate. */
  readonly signer: KeyPair;
  /** Serves over TLS with this pair, else plain HTTP. */
  readonly tls?: KeyPair | undefined;
  readonly issuer: string;
  readonly service: string;
  /** Who may have tokens; without `username` everybody may. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** A token endpoint as registries use it (distribution's token authentication specification). */
export interface TokenServer extends AsyncDisposable {
  /** The URL clients are sent to. */
  readonly realm: string;
  /** Scopes of each token issued so far; its length is the number of tokens. */
  readonly issued: readonly (readonly string[])[];
  /** Requests refused for wrong or missing credentials. */
  readonly refused: number;
  /** How long the registry accepts the next tokens; with 0 or less it refuses them at once. */
  expiresInSeconds: number;
  /** What the answer says instead of `expiresInSeconds`: a server whose clock is off. */
  announcedSeconds: number | undefined;
}

/** Starts the endpoint on 127.0.0.1; tokens last 300 s unless changed. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const issued: string[][] = [];
  let refused = 0;
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== "GET") return reply(response, 405, { error: "only GET" });
    if (!mayHaveToken(request, options)) {
      refused += 1;
      return reply(response, 401, { error: "wrong credentials" });
    }
    const scopes = new URL(request.url ?? "/", "http://localhost").searchParams
      .getAll("scope")
      .flatMap((scope) => scope.split(" "));
    issued.push(scopes);
    const token = makeToken(scopes, options, server.expiresInSeconds);
    const expiresIn = server.announcedSeconds ?? server.expiresInSeconds;
    reply(response, 200, { token, expires_in: expiresIn, issued_at: new Date().toISOString() });
  };
  const listener =
    options.tls === undefined
      ? createServer(answer)
      : createTlsServer({ key: options.tls.key, cert: options.tls.certificate }, answer);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  listener.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const scheme = options.tls === undefined ? "http" : "https";
  const server: TokenServer = {
    // By name: crane follows no realm whose host is a loopback address, except the registry's own.
    realm: `${scheme}://localhost:${(listener.address() as AddressInfo).port}/token`,
    issued,
    get refused() {
      return refused;
    },
    expiresInSeconds: 300,
    announcedSeconds: undefined,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise((done) => listener.close(done));
    },
  };
  return server;
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function mayHaveToken(request: IncomingMessage, options: TokenServerOptions): boolean {
  if (options.username === undefined) return true;
  const expected = Buffer.from(`${options.username}:${options.password ?? ""}`).toString("base64");
  return request.headers.authorization === `Basic ${expected}`;
}

function makeToken(scopes: string[], options: TokenServerOptions, expiresIn: number): string {
  const now = Math.floor(Date.now() / 1000);
  // PEM body without its frame is the base64 DER that x5c holds (RFC 7515, 4.1.6).
  const certificate = options.signer.certificate.replace(/-----[^-]+-----|\s/g, "");
  const header = { typ: "JWT", alg: "ES256", x5c: [certificate] };
  const claims = {
    iss: options.issuer,
    sub: options.username ?? "",
    aud: options.service,
    exp: now + expiresIn - leewaySeconds - (expiresIn > 0 ? 0 : 1),
    nbf: now - 3600,
    iat: now - 3600,
    jti: randomUUID(),
    access: scopes.flatMap(parseScope),
  };
  const signed = `${encode(header)}.${encode(claims)}`;
  const key = { key: createPrivateKey(options.signer.key), dsaEncoding: "ieee-p1363" as const };
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

/** `repository:team/model:pull,push` (distribution's token scope grammar). */
function parseScope(scope: string): { type: string; name: string; actions: string[] }[] {
  const match = /^([^:]+):(.+):([^:]+)$/.exec(scope);
  if (match === null) return [];
  const [, type = "", name = "", actions = ""] = match;
  return [{ type, name, actions: actions.split(",") }];
}
