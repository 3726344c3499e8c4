import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { closeServer } from "./close-server.ts";
import { isChosen, page, partial } from "./fake-api-lists.ts";
import {
  createFakeObjects,
  type FakeObjects,
  mergePatch,
  Refusal,
  type StoredEvent,
  type StoredObject,
} from "./fake-api-objects.ts";
import { type Place, parsePath } from "./fake-api-paths.ts";
import { describeKubeconfig } from "./kubeconfig.ts";
import { makeTemporaryFolder } from "./models.ts";

/** A request that the server answered. */
interface FakeApiRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly status: number;
  /** `performance.now()` when it came. */
  readonly at: number;
}

/** What some requests meet instead of an answer. */
interface FakeApiFault {
  /** Matches `METHOD /path`, of watches `WATCH /path`. */
  readonly match: RegExp;
  /** Default: 500. Of a watch that has begun, 410 is an event. */
  readonly status?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
  /** It waits first; alone, it then answers as ever. */
  readonly delayMs?: number;
  /** How many requests meet it. Default: all, until it is disposed. */
  readonly times?: number;
}

/**
 * The API machinery of Kubernetes for any kind of object, as far as clients see it: create, read,
 * list in pages, replace, merge patch, status subresources, delete with owners and finalizers, watch.
 * Schemas, admission and rights are not checked. Its kubeconfig reads a token from a file.
 */
export interface FakeApiServer extends AsyncDisposable {
  readonly url: string;
  /** A kubeconfig file for it. */
  readonly kubeconfig: string;
  readonly objects: FakeObjects;
  /** All that were answered, watches when they began; oldest first. */
  readonly requests: FakeApiRequest[];
  /** Those of `requests` that write, as `METHOD /path`. */
  writes(): string[];
  /** Collections by path that are unknown here: 404. */
  readonly absent: Set<string>;
  /** What is kept of what is sent to a collection; by path. */
  readonly pruning: Map<string, (content: Readonly<Record<string, unknown>>) => unknown>;
  /** Makes requests fail, until disposed. */
  fail(fault: FakeApiFault): Disposable;
  /** Cuts all watches. */
  dropWatches(): void;
  /** Forgets the history: watches that resume meet 410. */
  compact(): void;
  /** Writes another token to the file and from now on refuses the old one (401). */
  rotateToken(): Promise<void>;
  /** Cuts all connections and listens no more, until `resume`. */
  stop(): Promise<void>;
  resume(): Promise<void>;
}

interface Watcher {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly query: URLSearchParams;
  readonly metadataOnly: boolean;
  readonly response: ServerResponse;
}

/** Starts it on loopback, with no objects. */
export async function startFakeApiServer(): Promise<FakeApiServer> {
  const folder = await makeTemporaryFolder();
  const [kubeconfig, tokenFile] = ["kubeconfig", "token"].map((name) => join(folder.path, name));
  if (kubeconfig === undefined || tokenFile === undefined) throw new Error("no files");
  let tokenNumber = 1;
  await writeFile(tokenFile, "token-1");
  const watchers = new Set<Watcher>();
  const faults: { fault: FakeApiFault; left: number }[] = [];
  const requests: FakeApiRequest[] = [];
  const absent = new Set<string>();
  const pruning: FakeApiServer["pruning"] = new Map();
  const objects = createFakeObjects({
    onEvent: (event) => {
      for (const watcher of watchers) tell(watcher, event);
    },
    prune: (collection, content) =>
      (pruning.get(collection)?.(content) ?? content) as Readonly<Record<string, unknown>>,
  });

  function meet(line: string): FakeApiFault | undefined {
    const found = faults.find(({ fault, left }) => left > 0 && fault.match.test(line));
    if (found !== undefined) found.left--;
    return found?.fault;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = performance.now();
    const url = new URL(request.url ?? "/", "http://api");
    const { method = "GET" } = request;
    const { pathname: path, searchParams: query } = url;
    const body = method === "GET" || method === "DELETE" ? undefined : await readBody(request);
    const isWatch = query.get("watch") === "true";
    const say = (status: number, content: unknown, headers: Record<string, string> = {}) => {
      requests.push({ method: isWatch ? "WATCH" : method, path, query, body, status, at });
      response.writeHead(status, { "content-type": "application/json", ...headers });
      if (!isWatch || status !== 200) response.end(JSON.stringify(content));
    };
    try {
      const fault = meet(`${isWatch ? "WATCH" : method} ${path}`);
      if (fault?.delayMs !== undefined) await sleep(fault.delayMs, undefined, { ref: false });
      if (fault !== undefined && (fault.status !== undefined || fault.delayMs === undefined)) {
        const { status = 500, reason = "", message = "a fault", retryAfterSeconds } = fault;
        const after =
          retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
        say(status, statusOf(status, reason, message), after);
        return;
      }
      if (request.headers.authorization !== `Bearer token-${tokenNumber}`)
        throw new Refusal(401, "Unauthorized", "Unauthorized");
      const metadataOnly = (request.headers.accept ?? "").includes("as=PartialObjectMetadata");
      const place = parsePath(path);
      if (absent.has(place.collection))
        throw new Refusal(404, "NotFound", "the server could not find the requested resource");
      if (isWatch) beginWatch({ ...place, query, metadataOnly, response }, say);
      else
        say(method === "POST" ? 201 : 200, serve(method, { ...place, query, body, metadataOnly }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(error.status, statusOf(error.status, error.reason, error.message));
    }
  }

  function beginWatch(watcher: Watcher, say: (status: number, content: unknown) => void): void {
    const { response, query } = watcher;
    const from = Number(query.get("resourceVersion") ?? objects.version);
    const missed = objects.since(from);
    say(200, undefined);
    response.flushHeaders();
    if (missed === undefined) {
      const gone = statusOf(410, "Expired", "too old resource version");
      response.end(`${JSON.stringify({ type: "ERROR", object: gone })}\n`);
      return;
    }
    watchers.add(watcher);
    response.once("close", () => watchers.delete(watcher));
    for (const event of missed) tell(watcher, event);
  }

  function tell(watcher: Watcher, { type, collection, object }: StoredEvent): void {
    if (collection !== watcher.collection || !isChosen(object, watcher)) return;
    const shown = watcher.metadataOnly ? partial(object) : object;
    watcher.response.write(`${JSON.stringify({ type, object: shown })}\n`);
  }

  function serve(method: string, asked: Place & Asked): unknown {
    const { collection, namespace, name, subresource, query, body, metadataOnly } = asked;
    const show = (object: StoredObject) => (metadataOnly ? partial(object) : object);
    if (name === undefined) {
      if (method === "POST") return show(objects.create(collection, inNamespace(body, namespace)));
      const chosen = objects.list(collection).filter((each) => isChosen(each, asked));
      return page(chosen.map(show), query, objects.version);
    }
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const found = objects.get(collection, key);
    if (found === undefined)
      throw new Refusal(404, "NotFound", `${collection.split("/").at(-1)} "${name}" not found`);
    const part = subresource === "status" ? "status" : "main";
    switch (method) {
      case "GET":
        return show(found);
      case "PUT":
        return show(objects.update(collection, key, fieldsOf(body), part));
      case "PATCH": {
        const sent = fieldsOf(body);
        const merged = fieldsOf(mergePatch(found, sent));
        // Only a version that was sent is a condition.
        const { resourceVersion: _, ...metadata } = fieldsOf(merged["metadata"]);
        const { resourceVersion } = fieldsOf(sent["metadata"]);
        const next = { ...merged, metadata: { ...metadata, resourceVersion } };
        return show(objects.update(collection, key, next, part));
      }
      case "DELETE":
        return show(objects.remove(collection, key));
      default:
        throw new Refusal(405, "MethodNotAllowed", `no ${method} here`);
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  let port = 0;
  const listen = async () => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  };
  await listen();
  const url = `http://127.0.0.1:${port}`;
  // The client refuses plain HTTP without it.
  const cluster = { server: url, "insecure-skip-tls-verify": true };
  const user = { "auth-provider": { name: "file", config: { tokenFile } } };
  await writeFile(kubeconfig, describeKubeconfig({ cluster, user }));
  const stop = () => closeServer(server);
  return {
    url,
    kubeconfig,
    objects,
    requests,
    writes: () =>
      requests
        .filter(({ method }) => /^(?:POST|PUT|PATCH|DELETE)$/.test(method))
        .map(({ method, path }) => `${method} ${path}`),
    absent,
    pruning,
    fail: (fault) => {
      const entry = { fault, left: fault.times ?? Number.POSITIVE_INFINITY };
      faults.push(entry);
      return {
        [Symbol.dispose]: () => {
          entry.left = 0;
        },
      };
    },
    dropWatches: () => {
      for (const { response } of watchers) response.destroy();
    },
    compact: () => objects.compact(),
    rotateToken: async () => {
      tokenNumber++;
      await writeFile(tokenFile, `token-${tokenNumber}`);
    },
    stop,
    resume: listen,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

interface Asked {
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly metadataOnly: boolean;
}

function statusOf(code: number, reason: string, message: string): unknown {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function inNamespace(body: unknown, namespace: string | undefined): Record<string, unknown> {
  const content = fieldsOf(body);
  if (namespace === undefined) return content;
  return { ...content, metadata: { ...fieldsOf(content["metadata"]), namespace } };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  return json(request).catch(() => undefined);
}
