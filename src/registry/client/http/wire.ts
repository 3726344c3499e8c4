import { ModelError, systemCode } from "../../../core/errors.ts";
import { AddressRefused } from "../../../core/network/guarded-lookup.ts";
import type { BlobLocation } from "../../../oci/repository.ts";
import type { Answer } from "./answer.ts";
import { type DispatcherOptions, type Dispatchers, openDispatchers } from "./dispatcher.ts";
import { forbiddenPlace } from "./forbidden-place.ts";
import type { Pace } from "./pace.ts";
import type { RequestKind } from "./pacer.ts";
import { isLostConnection, networkFailure } from "./request-failure.ts";

/** How many requests went where; live. */
export interface RequestCounts {
  /** To the registry itself. */
  readonly registry: number;
  /** To token realms. */
  readonly token: number;
  /** To where the registry redirected, such as presigned storage URLs. */
  readonly redirected: number;
}

type Destination = keyof RequestCounts;

/** Interim answers (RFC 9110 15.2) that are passed over before the final one. */
const maxInterim = 16;

export interface WireRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Called once for each time the request is sent. */
  readonly body?: (() => Buffer | AsyncIterable<Uint8Array>) | undefined;
  /** What it counts as with the registry. Default: GET and HEAD `read`, others `write`. */
  readonly counts?: RequestKind | undefined;
  /** How long to wait for the answer's head; the default is the wire's. */
  readonly headersMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What is asked for, for messages. */
  readonly what: string;
}

/** Sends single requests: no credentials, no redirects, no second try. */
export interface Wire extends AsyncDisposable {
  readonly requests: RequestCounts;
  /**
   * Resolves with whatever the other side answers; the caller reads or discards the body. Rejects
   * with REGISTRY_UNAVAILABLE (a RequestFailure), FORBIDDEN where the guard lets nothing be sent, or
   * the signal's reason. What is lost because an idle connection had died meanwhile is sent again
   * (RFC 9112 9.3.1): it says nothing of the server.
   */
  send(destination: Destination, request: WireRequest): Promise<Answer>;
  /**
   * Counts a request that somebody else sends to `url`, and tells on what terms this wire would send
   * it; undefined where that goes through a proxy or HTTP/2.
   */
  describe(destination: Destination, url: URL): RequestTerms | undefined;
  /** Waits until a request that somebody else sends may be sent. */
  turn(request: Pick<WireRequest, "method" | "url" | "signal">): Promise<void>;
}

type RequestTerms = Omit<BlobLocation, "url">;

/** Opens the connections of one repository; disposing ends what is in flight. */
export async function openWire(
  options: DispatcherOptions & {
    readonly userAgent: string;
    /** The host of the registry, for messages. */
    readonly registry: string;
    /** Holds requests back, by where they go. Default: nothing does. */
    readonly pace?: Pace | undefined;
  },
): Promise<Wire> {
  const { registry, pace } = options;
  const undici = await import("undici");
  const requests = { registry: 0, token: 0, redirected: 0 };
  const http1 = await openDispatchers(options, false);
  let http2: Promise<Dispatchers> | undefined;
  const http2Origins = new Set<string>();

  async function sendOnce(request: WireRequest, useHttp2: boolean): Promise<Answer> {
    const { method, url, headers, body, headersMs, signal } = request;
    if (useHttp2) http2 ??= openDispatchers(options, true);
    const dispatchers = useHttp2 && http2 !== undefined ? await http2 : http1;
    const content = body?.();
    const answer = await undici.request(url, {
      dispatcher: dispatchers.for(url),
      method,
      headers: { "user-agent": options.userAgent, ...headers },
      // undici takes async iterables, though its types do not say so, and asks for a piece only when
      // the one before is with the kernel; a Readable would run ahead of that.
      body: content === undefined ? null : (content as Buffer),
      onInfo: limitInterim(request),
      ...(signal === undefined ? {} : { signal }),
      ...(headersMs === undefined ? {} : { headersTimeout: headersMs }),
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body, url };
  }

  /** Each of them ends, so they are no more than there were connections when the sending began. */
  function isStale(error: unknown, made: number): boolean {
    const number = http1.connections.endedWith(error);
    return number !== undefined && number <= made && isLostConnection(error);
  }

  return {
    requests,
    async send(destination, request) {
      const { method, url, signal, what } = request;
      signal?.throwIfAborted();
      const { counts = destination === "token" ? "free" : undefined } = request;
      await pace?.turn({ method, url, counts, signal });
      const { made } = http1.connections;
      requests[destination] += 1;
      for (;;) {
        const useHttp2 = http2Origins.has(url.origin);
        try {
          const answer = await sendOnce(request, useHttp2);
          pace?.heard(answer);
          return answer;
        } catch (error) {
          signal?.throwIfAborted();
          if (!useHttp2 && refusesHttp1(error)) http2Origins.add(url.origin);
          else if (isReading(method) && isStale(error, made)) requests[destination] += 1;
          else if (error instanceof AddressRefused)
            throw forbiddenPlace(error, { what, registry, url, isRealm: destination === "token" });
          else throw networkFailure(error, what, url.host);
        }
      }
    },
    describe(destination, url) {
      if (http2Origins.has(url.origin) || !http1.isDirect(url)) return undefined;
      requests[destination] += 1;
      const { connectMs, headersMs, bodyMs, userAgent } = options;
      return {
        headers: { "user-agent": userAgent },
        ca: [options.ca ?? []].flat(),
        guard: http1.guardFor(url),
        timeouts: { connectMs, headersMs, bodyMs },
      };
    },
    async turn(request) {
      await pace?.turn(request);
    },
    async [Symbol.asyncDispose]() {
      await http1[Symbol.asyncDispose]();
      await (await http2)?.[Symbol.asyncDispose]();
    },
  };
}

function isReading(method: WireRequest["method"]): boolean {
  return method === "GET" || method === "HEAD";
}

/** undici waits for the final answer anew after each interim one. */
function limitInterim({ what, url }: WireRequest): () => void {
  let interim = 0;
  return () => {
    interim += 1;
    if (interim > maxInterim)
      throw new ModelError(
        "REGISTRY_PROTOCOL",
        `${what}: ${url.host} sent more than ${maxInterim} interim answers`,
      );
  };
}

function refusesHttp1(error: unknown): boolean {
  return systemCode(error) === "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL";
}
