import { once } from "node:events";
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import {
  Agent as HttpsAgent,
  type RequestOptions as HttpsOptions,
  request as requestHttps,
} from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { KubeConfig } from "@kubernetes/client-node";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { ApiError, isApiError } from "./api-error.ts";

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Such as `/api/v1/nodes/a`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body; of a PATCH by default a JSON merge patch (RFC 7396). */
  readonly contentType?: string | undefined;
  /** Default: JSON. */
  readonly accept?: string | undefined;
}

/** A Kubernetes API server, as one user. Disposing closes its connections. */
export interface ClusterApi extends Disposable {
  /**
   * Sends one request and resolves to the object of its answer. Tried again while the server is busy
   * (429, with its Retry-After), failing (5xx) or not there, for about ten seconds, and once with a
   * credential that was read anew (401): a create may thus meet itself as 409. Rejects with an ApiError.
   */
  call<T>(request: ApiRequest, options?: Abortable): Promise<T>;
  /** Sends one request, once, and follows the lines of its answer, each a JSON document. */
  follow(request: ApiRequest, options?: Abortable): AsyncIterable<unknown>;
  /** Of a pod: its namespace. Of a kubeconfig: that of its context. */
  readonly namespace: string | undefined;
  /** The server's address, for messages. */
  readonly server: string;
}

export interface ClusterApiOptions {
  /** A kubeconfig file. Default: KUBECONFIG, `~/.kube/config`, or what a pod finds in its files. */
  readonly kubeconfig?: string | undefined;
  /** A context of it, other than its current one. */
  readonly context?: string | undefined;
  /** Told to the server, and seen in its audit log. */
  readonly userAgent: string;
}

const attempts = 6;
const firstPauseMs = 250;
const longestPauseMs = 30_000;
const answerTimeoutMs = 30_000;
const maxAnswerBytes = 268_435_456;

/** Reads the configuration; nothing is sent yet. Rejects with INVALID_ARGUMENT where it names no server. */
export function createClusterApi(options: ClusterApiOptions): ClusterApi {
  let config = load(options);
  const agents = new Map<string, HttpsAgent>();
  const plain = new HttpAgent({ keepAlive: true });
  const server = serverOf(config);
  const context = config.getContextObject(config.getCurrentContext());

  /** The options of a request: address, TLS and credential, which may be another each time. */
  async function prepare({ method, path, query = {}, ...rest }: ApiRequest): Promise<HttpsOptions> {
    const url = new URL(serverOf(config) + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const secured: HttpsOptions = {};
    await config.applyToHTTPSOptions(secured);
    const { hostname, port, protocol } = url;
    const headers = {
      ...(secured.headers as Readonly<Record<string, string>> | undefined),
      accept: rest.accept ?? "application/json",
      "user-agent": options.userAgent,
      ...(rest.body === undefined
        ? {}
        : { "content-type": rest.contentType ?? contentTypeOf(method) }),
    };
    const proxied = config.getCurrentCluster()?.proxyUrl !== undefined;
    const agent = proxied ? secured.agent : protocol === "http:" ? plain : agentFor(secured);
    const host = hostname.replace(/^\[(.*)\]$/, "$1");
    const target = { protocol, host, port, method, path: url.pathname + url.search };
    return { ...secured, ...target, headers, agent };
  }

  /** One agent for each set of certificates: the library makes agents that keep no connection. */
  function agentFor({ ca, cert, key, servername, rejectUnauthorized }: HttpsOptions): HttpsAgent {
    const tls = { ca, cert, key, servername, rejectUnauthorized };
    const id = JSON.stringify(tls, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
    );
    const known = agents.get(id);
    if (known !== undefined) return known;
    const defined = Object.fromEntries(
      Object.entries(tls).filter(([, value]) => value !== undefined && value !== null),
    );
    const made = new HttpsAgent({ ...defined, keepAlive: true });
    agents.set(id, made);
    return made;
  }

  async function send(question: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      const prepared = await prepare(question);
      signal.throwIfAborted();
      const sent = prepared.protocol === "http:" ? requestHttp(prepared) : requestHttps(prepared);
      const abort = () => sent.destroy(signal.reason as Error);
      signal.addEventListener("abort", abort, { once: true });
      sent.once("close", () => signal.removeEventListener("abort", abort));
      if (question.body === undefined) sent.end();
      else {
        const bytes = Buffer.from(JSON.stringify(question.body));
        // Of a DELETE nothing else would say that it has a body: it would be taken for the next request.
        sent.setHeader("content-length", bytes.byteLength);
        sent.end(bytes);
      }
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      sent.on("error", () => undefined);
      const { statusCode = 0 } = answer;
      if (statusCode >= 200 && statusCode < 300) return answer;
      throw await refusal(answer, question);
    } catch (error) {
      if (isApiError(error)) throw error;
      throw unreachable(error, server);
    }
  }

  async function ask(question: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const answer = await send(question, signal);
    try {
      const text = await readText(answer);
      return text === "" ? undefined : JSON.parse(text);
    } catch (error) {
      if (isApiError(error)) throw error;
      throw unreachable(error, server);
    }
  }

  async function call(question: ApiRequest, { signal }: Abortable): Promise<unknown> {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      const timeout = AbortSignal.timeout(answerTimeoutMs);
      const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      try {
        return await ask(question, both);
      } catch (error) {
        signal?.throwIfAborted();
        if (isApiError(error, 401) && !renewed) {
          // A token is read at most once a minute; this one has been replaced sooner.
          renewed = true;
          config = load(options);
        } else if (attempt < attempts && isApiError(error) && error.retryable) {
          await sleep(pauseAfter(error, attempt), undefined, { signal });
        } else throw error;
      }
    }
  }

  async function* follow(question: ApiRequest, { signal }: Abortable): AsyncGenerator<unknown> {
    let answer: IncomingMessage | undefined;
    try {
      answer = await send(question, signal ?? new AbortController().signal);
      let rest = "";
      for await (const piece of answer.setEncoding("utf8") as AsyncIterable<string>) {
        const lines = (rest + piece).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line !== "") yield JSON.parse(line);
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isApiError(error)) throw error;
      throw unreachable(error, server);
    } finally {
      answer?.destroy();
    }
  }

  return {
    server,
    namespace: context?.namespace,
    // The server checks what it stores against its schema.
    call: async <T>(question: ApiRequest, abortable: Abortable = {}) =>
      (await call(question, abortable)) as T,
    follow: (question, abortable = {}) => follow(question, abortable),
    [Symbol.dispose]: () => {
      plain.destroy();
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

const madeUpServer = "http://localhost:8080";

function load({ kubeconfig, context }: ClusterApiOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    throw new ModelError("INVALID_ARGUMENT", `the kubeconfig cannot be read: ${String(error)}`, {
      hint: "name one with --kubeconfig or KUBECONFIG",
      cause: error,
    });
  }
  // What the library makes up where nothing names a cluster.
  if (config.getCurrentCluster()?.server === madeUpServer)
    throw new ModelError("INVALID_ARGUMENT", "nothing names a cluster: there is no kubeconfig", {
      hint: "name one with --kubeconfig or KUBECONFIG; in a pod, mount its ServiceAccount's token",
    });
  if (context === undefined) return config;
  if (config.getContextObject(context) === null)
    throw new ModelError("INVALID_ARGUMENT", `the kubeconfig has no context ${context}`, {
      hint: `it has ${config
        .getContexts()
        .map((each) => each.name)
        .join(", ")}`,
    });
  config.setCurrentContext(context);
  return config;
}

function serverOf(config: KubeConfig): string {
  const server = config.getCurrentCluster()?.server;
  if (server !== undefined) return server.replace(/\/$/, "");
  throw new ModelError("INVALID_ARGUMENT", "the kubeconfig has no current cluster", {
    hint: "choose one: kubectl config use-context NAME, or --context NAME",
  });
}

function contentTypeOf(method: ApiRequest["method"]): string {
  return method === "PATCH" ? "application/merge-patch+json" : "application/json";
}

async function readText(answer: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength;
    if (bytes > maxAnswerBytes)
      throw new ApiError(0, `the API server's answer exceeds ${maxAnswerBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** What a Status object (apimachinery meta/v1) says. */
async function refusal(answer: IncomingMessage, question: ApiRequest): Promise<ApiError> {
  const { statusCode = 0, headers } = answer;
  const text = await readText(answer).catch(() => "");
  const { message = text.slice(0, 500), reason } = parseStatus(text);
  const what = `${question.method} ${question.path}: the API server answered ${statusCode}`;
  const error = new ApiError(statusCode, message === "" ? what : `${what}, ${message}`, {
    reason,
    hint: hints.get(statusCode),
  });
  const seconds = Number(headers["retry-after"]);
  if (seconds > 0) retryAfter.set(error, seconds * 1000);
  return error;
}

const hints: ReadonlyMap<number, string> = new Map([
  [
    401,
    "its token or certificate has ended or is another cluster's: log in again, or --context NAME",
  ],
  [403, "an administrator grants that right"],
]);

const retryAfter = new WeakMap<ApiError, number>();

function parseStatus(text: string): { message?: string; reason?: string } {
  try {
    const status: unknown = JSON.parse(text);
    const field = (name: string) => {
      const value: unknown = Reflect.get(Object(status), name);
      return typeof value === "string" ? { [name]: value } : {};
    };
    return { ...field("message"), ...field("reason") };
  } catch {
    return {};
  }
}

function pauseAfter(error: ApiError, attempt: number): number {
  const grown = firstPauseMs * 2 ** (attempt - 1);
  const asked = Math.min(retryAfter.get(error) ?? 0, longestPauseMs);
  return Math.max(asked, grown * (0.5 + Math.random()));
}

function unreachable(error: unknown, server: string): ApiError {
  const why = error instanceof Error ? error.message : String(error);
  return new ApiError(0, `the API server ${server} cannot be reached: ${why}`, {
    cause: error,
    hint: "check the address in the kubeconfig, and the network between",
  });
}
