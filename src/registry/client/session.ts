import { ModelError } from "../../core/errors.ts";
import type { BlobLocation } from "../../oci/repository.ts";
import type { Authorizer, Pass, Purpose } from "./auth/authorizer.ts";
import { isTooNarrow } from "./auth/challenge.ts";
import { repositoryScope, type Scope } from "./auth/scope.ts";
import { type Answer, discard, header } from "./http/answer.ts";
import { type Removed, refusal } from "./http/refusal.ts";
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
  /** What the request takes away, if anything. */
  readonly removes?: Removed | undefined;
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
   * One try with credentials where any status resolves, for who wants to know what a registry says.
   * Redirects of reads are followed unless `follow` is false. Rejects when nobody is let in.
   */
  exchange(call: Omit<Call, "accept">, options?: { readonly follow?: boolean }): Promise<Answer>;
  /**
   * Where a call leads: to `call.url` itself, or to where it is redirected, which nothing is sent to.
   * One try; rejects like `call`.
   */
  locate(call: Call): Promise<URL>;
  /**
   * What a request by somebody else must send and trust; it counts as one. Undefined where that goes
   * through a proxy, or is known to need HTTP/2.
   */
  describe(
    request: Pick<Call, "url" | "signal"> & { readonly method: "GET" | "PUT" },
  ): Promise<BlobLocation | undefined>;
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
/** How often in a row a request is sent while nobody is let in. */
const maxUseless = 2;
/** How often a request is sent in all while passes end under it that let others in. */
const maxSent = 100;

export function createSession(options: SessionOptions): Session {
  const { host, repository, origin, wire, authorizer } = options;
  const scopes = [repositoryScope(repository, options.writes)];
  /** Requests that the registry let in, by what they were for. */
  const letIn = { reading: 0, writing: 0 };

  async function sendWith(pass: Pass, call: Call, url: URL): Promise<Answer> {
    const { header: authorization } = pass;
    const headers = { ...call.headers, ...(authorization === undefined ? {} : { authorization }) };
    const answer = await wire.send("registry", { ...call, url, headers });
    if (answer.status < 400 || answer.status === 404) {
      const purpose = purposeOf(call);
      pass.workedFor.add(purpose);
      letIn[purpose] += 1;
    }
    return answer;
  }

  /**
   * Sends with credentials, and renews those that a 401 refuses. A pass that let somebody in has only
   * ended, as the next one may before this request is sent with it, or anybody else's: as long as
   * somebody gets in for the same purpose, that is no refusal for good.
   */
  async function authorized(call: Call, url: URL): Promise<Answer> {
    const { signal, what } = call;
    const wanted = call.scopes ?? scopes;
    let pass = await authorizer.authorize(wanted, signal);
    const purpose = purposeOf(call);
    let seen = letIn[purpose];
    let useless = 0;
    let isLast = false;
    for (let sent = 1; ; sent += 1) {
      const answer = await sendWith(pass, call, url);
      if (answer.status !== 401) return answer;
      await discard(answer);
      useless = pass.workedFor.has(purpose) || letIn[purpose] > seen ? 0 : useless + 1;
      seen = letIn[purpose];
      isLast ||= useless === maxUseless || sent === maxSent || (sent > 1 && isTooNarrow(answer));
      if (isLast) throw authorizer.refused(answer, what);
      const next = await authorizer.renew(answer, pass, wanted, signal);
      if (call.onExpiry === "restart")
        throw new RequestFailure("UNAUTHORIZED", `${what}: ${origin.host} took no token half-way`, {
          temporary: true,
          retryAfterMs: 0,
        });
      isLast = next.header === pass.header;
      pass = next;
    }
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
      removes: call.removes,
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
    exchange(call, { follow = true } = {}) {
      const any = { ...call, accept: [] };
      if (follow || call.url.origin !== origin.origin) return followed(any, true);
      return authorized(any, call.url);
    },
    async locate(call) {
      const answer = await authorized(call, call.url);
      const location = redirectLocation(call, answer);
      if (location === undefined) await accepted(call, answer);
      await discard(answer);
      return location === undefined ? call.url : redirectTarget(location, call.url, call.what);
    },
    async describe(request) {
      const { url, signal } = request;
      const isRegistry = url.origin === origin.origin;
      const terms = wire.describe(isRegistry ? "registry" : "redirected", url);
      if (terms === undefined) return undefined;
      await wire.turn(request);
      if (!isRegistry) return { ...terms, url };
      const { headers } = terms;
      const { header: authorization } = await authorizer.authorize(scopes, signal);
      return { ...terms, url, headers: authorization ? { ...headers, authorization } : headers };
    },
  };
}

function purposeOf({ method }: Call): Purpose {
  return method === "GET" || method === "HEAD" ? "reading" : "writing";
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
