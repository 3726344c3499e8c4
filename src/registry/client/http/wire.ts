import { systemCode } from "../../../core/errors.ts";
import type { Answer } from "./answer.ts";
import { type DispatcherOptions, type Dispatchers, openDispatchers } from "./dispatcher.ts";
import { networkFailure } from "./request-failure.ts";

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

export interface WireRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Called once for each time the request is sent. */
  readonly body?: (() => Buffer | AsyncIterable<Uint8Array>) | undefined;
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
   * with REGISTRY_UNAVAILABLE (a RequestFailure), or with the signal's reason.
   */
  send(destination: Destination, request: WireRequest): Promise<Answer>;
}

/** Opens the connections of one repository; disposing ends what is in flight. */
export async function openWire(
  options: DispatcherOptions & { readonly userAgent: string },
): Promise<Wire> {
  const undici = await import("undici");
  const requests = { registry: 0, token: 0, redirected: 0 };
  const http1 = await openDispatchers(options, false);
  let http2: Promise<Dispatchers> | undefined;
  const http2Origins = new Set<string>();

  async function sendOnce(request: WireRequest): Promise<Answer> {
    const { method, url, headers, body, headersMs, signal } = request;
    const useHttp2 = http2Origins.has(url.origin);
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
      ...(signal === undefined ? {} : { signal }),
      ...(headersMs === undefined ? {} : { headersTimeout: headersMs }),
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body, url };
  }

  return {
    requests,
    async send(destination, request) {
      const { url, signal, what } = request;
      signal?.throwIfAborted();
      requests[destination] += 1;
      try {
        try {
          return await sendOnce(request);
        } catch (error) {
          if (!refusesHttp1(error) || http2Origins.has(url.origin)) throw error;
          http2Origins.add(url.origin);
          return await sendOnce(request);
        }
      } catch (error) {
        signal?.throwIfAborted();
        throw networkFailure(error, what, url.host);
      }
    },
    async [Symbol.asyncDispose]() {
      await http1[Symbol.asyncDispose]();
      await (await http2)?.[Symbol.asyncDispose]();
    },
  };
}

function refusesHttp1(error: unknown): boolean {
  return systemCode(error) === "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL";
}
