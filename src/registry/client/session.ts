import { ModelError } from "../../core/errors.ts";
import type { BlobLocation } from "../../oci/repository.ts";
import type { Authorizer } from "./auth/authorizer.ts";
import { repositoryScope, type Scope } from "./auth/scope.ts";
import { type Answer, discard, header } from "./http/answer.ts";
import { refusal } from "./http/refusal.ts";
import { RequestFailure } from "./http/request-failure.ts";
import type { RetryOptions } from "./http/retry.ts";
import type { Wire, WireRequest } from "./http/wire.ts";

/** One request to the repository, with the answers that count as success. */
export interface Call extends WireRequest {
  /** Statuses that resolve; any other rejects with the error it means. */
  readonly accept: readonly number[];
  /** Default: the repository's own. */
  readonly scopes?: readonly Scope[] | undefined;
  /**
   * What a 401 does once a new token is there: `resend` (default) sends the request again,
   * `restart` rejects with a temporary failure, for requests whose forerunners must be redone too.
   */
  readonly onExpiry?: "resend" | "restart" | undefined;
}

/** The one way to talk to one repository of one registry: credentials and redirects are its part. */
export interface Session {
  /** As the user wrote it. */
  readonly host: string;
  readonly repository: string;
  readonly origin: URL;
  readonly scopes: readonly Scope[];
  readonly retry: RetryOptions;
  /** How long a registry may take to answer a finished upload, in milliseconds. */
  readonly commitMs: number;
  /** How long one piece of a body may take to be sent, in milliseconds. */
  readonly stallMs: number;
  /** `path` below `/v2/<repository>/`. */
  url(path: string): URL;
  /**
   * One try. Rejects with UNAUTHORIZED, FORBIDDEN, NOT_FOUND, RATE_LIMITED, REGISTRY_UNAVAILABLE,
   * REGISTRY_LIMIT, REGISTRY_PROTOCOL or what else the registry's error code means.
   */
  call(call: Call): Promise<Answer>;
  /** One try at a URL that a redirect led to earlier: no credentials, any status resolves. */
  callElsewhere(call: Call): Promise<Answer>;
  /**
   * Where a call leads: to `call.url` itself, or to where it is redirected, which nothing is sent to.
   * One try; rejects like `call`.
   */
  locate(call: Call): Promise<URL>;
  /**
   * What a GET of `url` by somebody else must send and trust; it counts as a request. Undefined where
   * that goes through a proxy, or is known to need HTTP/2.
   */
  describeGet(url: URL, signal?: AbortSignal): Promise<BlobLocation | undefined>;
}

export interface SessionOptions {
  readonly host: string;
  readonly repository: string;
  readonly origin: URL;
  readonly writes: boolean;
  readonly wire: Wire;
  readonly authorizer: Authorizer;
  readonly retry: RetryOptions;
  readonly commitMs: number;
  readonly stallMs: number;
}

const maxRedirects = 5;

export function createSession(options: SessionOptions): Session {
  const { host, repository, origin, wire, authorizer } = options;
  const scopes = [repositoryScope(repository, options.writes)];

  /** Sends with credentials; a 401 is answered once, with a new token. */
  async function authorized(call: Call, url: URL): Promise<Answer> {
    const { signal, what } = call;
    const wanted = call.scopes ?? scopes;
    const send = (authorization: string | undefined) => {
      const headers = {
        ...call.headers,
        ...(authorization === undefined ? {} : { authorization }),
      };
      return wire.send("registry", { ...call, url, headers });
    };
    const first = await authorizer.authorization(wanted, signal);
    const answer = await send(first);
    if (answer.status !== 401) return answer;
    await discard(answer);
    const renewed = await authorizer.renew(answer, first, wanted, signal);
    if (call.onExpiry === "restart")
      throw new RequestFailure("UNAUTHORIZED", `${what}: ${origin.host} took no token half-way`, {
        temporary: true,
        retryAfterMs: 0,
      });
    const second = await send(renewed);
    if (second.status !== 401) return second;
    await discard(second);
    throw authorizer.refused(second, what);
  }

  /** Follows redirects; credentials stay with the registry, and once it was left they stay behind. */
  async function followed(call: Call, startAtOrigin: boolean): Promise<Answer> {
    let { url } = call;
    let trusted = startAtOrigin && url.origin === origin.origin;
    for (let hops = 0; ; hops += 1) {
      const answer = trusted
        ? await authorized(call, url)
        : await wire.send("redirected", { ...call, url });
      const location = redirectLocation(call, answer);
      if (location === undefined) return answer;
      await discard(answer);
      if (hops === maxRedirects)
        throw protocolError(`${call.what}: more than ${maxRedirects} redirects`);
      url = redirectTarget(location, url, call.what);
      trusted &&= url.origin === origin.origin;
    }
  }

  async function accepted(call: Call, answer: Answer): Promise<Answer> {
    if (call.accept.includes(answer.status)) return answer;
    throw await refusal(answer, {
      what: call.what,
      anonymousHint: authorizer.anonymousHint(),
      namesBlobs: call.method === "PUT",
    });
  }

  return {
    host,
    repository,
    origin,
    scopes,
    retry: options.retry,
    commitMs: options.commitMs,
    stallMs: options.stallMs,
    url: (path) => new URL(`/v2/${repository}/${path}`, origin),
    call: async (call) => accepted(call, await followed(call, true)),
    callElsewhere: (call) => followed(call, false),
    async locate(call) {
      const answer = await authorized(call, call.url);
      const location = redirectLocation(call, answer);
      if (location === undefined) await accepted(call, answer);
      await discard(answer);
      return location === undefined ? call.url : redirectTarget(location, call.url, call.what);
    },
    async describeGet(url, signal) {
      const isRegistry = url.origin === origin.origin;
      const terms = wire.describe(isRegistry ? "registry" : "redirected", url);
      if (terms === undefined) return undefined;
      const { headers } = terms;
      const authorization = isRegistry ? await authorizer.authorization(scopes, signal) : undefined;
      return { ...terms, url, headers: authorization ? { ...headers, authorization } : headers };
    },
  };
}

function redirectLocation(call: Call, answer: Answer): string | undefined {
  const { status } = answer;
  const reading = call.method === "GET" || call.method === "HEAD";
  const followable =
    status === 307 || status === 308 || (reading && status >= 301 && status <= 303);
  return followable ? (header(answer, "location") ?? "") : undefined;
}

function redirectTarget(location: string, from: URL, what: string): URL {
  if (location === "" || !URL.canParse(location, from.href))
    throw protocolError(`${what}: ${from.host} redirects to nowhere`);
  const url = new URL(location, from);
  if (!/^https?:$/.test(url.protocol))
    throw protocolError(`${what}: ${from.host} redirects to ${url.protocol}`);
  if (from.protocol === "https:" && url.protocol === "http:")
    throw protocolError(`${what}: ${from.host} redirects from HTTPS to plain HTTP at ${url.host}`);
  return url;
}

function protocolError(message: string): ModelError {
  return new ModelError("REGISTRY_PROTOCOL", message);
}
