import { pause } from "../../core/pause.ts";
import { createBackoff } from "../backoff.ts";
import { ApiError, isApiError } from "./api-error.ts";
import type { ClusterApi } from "./cluster-api.ts";
import { acceptMetadata, type Collection, listAll } from "./list.ts";
import type { ApiObject } from "./objects.ts";

/** A view of a collection that follows it. Disposing ends it. */
export interface Followed<T extends ApiObject> extends AsyncDisposable {
  /** By `namespace/name`, or by name where the kind has no namespace. */
  readonly objects: ReadonlyMap<string, T>;
  /** Resolves when the first list is there; rejects when disposed before. */
  readonly synced: Promise<void>;
}

export interface FollowOptions<T extends ApiObject> {
  /** Told after `objects` has it; `object` is undefined when it went. */
  readonly onChange?: ((key: string, object: T | undefined) => void) | undefined;
  /** Told once for each outage, and once when it is over (undefined). */
  readonly onOutage?: ((error: unknown) => void) | undefined;
}

const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** The server ends a watch after this and a little more; so does this side where a network went silent. */
const watchSeconds = 240;
const watchGraceMs = 30_000;

/** The key of an object in a `Followed`. */
function keyOf({ metadata }: ApiObject): string {
  const { namespace, name = "" } = metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/**
 * Follows a collection: lists it, then watches it, and begins anew after gaps (410), restarts of the
 * server and lost connections. Objects that are refused for lack of rights are an outage like others.
 */
export function followObjects<T extends ApiObject>(
  api: ClusterApi,
  collection: Collection,
  { onChange, onOutage }: FollowOptions<T> = {},
): Followed<T> {
  const stop = new AbortController();
  const { signal } = stop;
  const objects = new Map<string, T>();
  const first = Promise.withResolvers<void>();
  // Not everybody waits for it.
  first.promise.catch(() => undefined);
  let isOut = false;
  const backoff = createBackoff(firstPauseMs, longestPauseMs);
  let gaps = 0;

  function set(object: T): void {
    const key = keyOf(object);
    const known = objects.get(key)?.metadata.resourceVersion;
    if (known !== undefined && known === object.metadata.resourceVersion) return;
    const kept = withoutManagers(object);
    objects.set(key, kept);
    onChange?.(key, kept);
  }

  function remove(key: string): void {
    if (objects.delete(key)) onChange?.(key, undefined);
  }

  function works(): void {
    if (isOut) onOutage?.(undefined);
    isOut = false;
  }

  async function list(): Promise<string> {
    const { items, resourceVersion } = await listAll<T>(api, collection, { signal });
    const keys = new Set(items.map(keyOf));
    for (const key of objects.keys()) if (!keys.has(key)) remove(key);
    for (const item of items) set(item);
    works();
    first.resolve();
    return resourceVersion;
  }

  /** Resolves to the version to go on from when the server ends the watch; rejects after a gap. */
  async function watch(from: string): Promise<string> {
    let version = from;
    const { path, labelSelector, fieldSelector, metadataOnly } = collection;
    const accept = metadataOnly === true ? acceptMetadata : undefined;
    const seconds = Math.round(watchSeconds * (1 + Math.random() / 4));
    const query = {
      labelSelector,
      fieldSelector,
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: version,
      timeoutSeconds: seconds,
    };
    const silent = AbortSignal.timeout(seconds * 1000 + watchGraceMs);
    const both = AbortSignal.any([signal, silent]);
    for await (const line of api.follow({ method: "GET", path, query, accept }, { signal: both })) {
      const { type, object } = line as { type: string; object: T };
      if (type === "ERROR") throw statusError(object);
      works();
      backoff.succeeded();
      gaps = 0;
      version = object.metadata.resourceVersion ?? version;
      if (type === "DELETED") remove(keyOf(object));
      else if (type !== "BOOKMARK") set(object);
    }
    return version;
  }

  async function run(): Promise<void> {
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await list();
        const started = performance.now();
        version = await watch(version);
        // A server that ends each watch at once would be asked without end.
        if (performance.now() - started < 1000) await pause(1000, signal);
        backoff.succeeded();
      } catch (error) {
        if (signal.aborted) break;
        if (isApiError(error) && error.status !== 0) version = undefined;
        // A server that forgets at once what it listed would be asked without end.
        if (isApiError(error, 410) && gaps++ === 0) continue;
        if (!isOut) onOutage?.(error);
        isOut = true;
        await pause(backoff.failed(), signal);
      }
    }
    first.reject(signal.reason);
  }

  const running = run();
  return {
    objects,
    synced: first.promise,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

/** Who wrote which field is half of an object, and nobody here asks. */
function withoutManagers<T extends ApiObject>(object: T): T {
  const metadata = { ...object.metadata, managedFields: undefined };
  return { ...object, metadata };
}

function statusError(status: unknown): ApiError {
  const code = Number(Reflect.get(Object(status), "code"));
  return new ApiError(code, `the watch ended: ${String(Reflect.get(Object(status), "message"))}`, {
    reason: String(Reflect.get(Object(status), "reason")),
  });
}
