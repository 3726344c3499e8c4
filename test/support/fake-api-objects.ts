import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

/** An object of the API as it is stored. */
export interface StoredObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** What happened to an object, as a watch tells it. */
export interface StoredEvent {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** Such as `/api/v1/nodes`, without a namespace. */
  readonly collection: string;
  readonly object: StoredObject;
}

type Fields = Readonly<Record<string, unknown>>;

/** What a write does; `Conflict`, `AlreadyExists` and `NotFound` are thrown as these. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** The objects of a fake API server, their versions and their history. */
export interface FakeObjects {
  readonly version: number;
  /** Events after a version that are still known, oldest first; undefined when some were forgotten. */
  since(version: number): readonly StoredEvent[] | undefined;
  list(collection: string): StoredObject[];
  get(collection: string, key: string): StoredObject | undefined;
  create(collection: string, content: Fields): StoredObject;
  /** Replaces what `part` says: all but the status, or only that. Writes nothing when nothing changes. */
  update(collection: string, key: string, content: Fields, part: "main" | "status"): StoredObject;
  remove(collection: string, key: string): StoredObject;
  /** Forgets the history. */
  compact(): void;
}

export interface FakeObjectsOptions {
  /** Told after each event. */
  readonly onEvent: (event: StoredEvent) => void;
  /** What is stored of what was sent: a server with an older schema drops fields. */
  readonly prune: (collection: string, content: Fields) => Fields;
}

/** Kinds whose status is a subresource of its own. */
const withStatus =
  /\/(?:nodes|nodemodels|pods|persistentvolumes|persistentvolumeclaims|namespaces)$/;

/** Creates it empty. */
export function createFakeObjects({ onEvent, prune }: FakeObjectsOptions): FakeObjects {
  const stores = new Map<string, Map<string, StoredObject>>();
  let version = 100;
  let forgotten = 0;
  let history: StoredEvent[] = [];

  const storeOf = (collection: string) => {
    const store = stores.get(collection) ?? new Map<string, StoredObject>();
    stores.set(collection, store);
    return store;
  };

  function record(type: StoredEvent["type"], collection: string, object: StoredObject): void {
    const event = { version, type, collection, object };
    history.push(event);
    onEvent(event);
  }

  function put(
    collection: string,
    content: Fields,
    type: "ADDED" | "MODIFIED",
    metadata: Fields,
  ): StoredObject {
    version++;
    const object = structuredClone({
      ...prune(collection, content),
      metadata: { ...metadata, resourceVersion: String(version) },
    }) as unknown as StoredObject;
    storeOf(collection).set(keyOf(object.metadata), object);
    record(type, collection, object);
    return object;
  }

  function need(collection: string, key: string): StoredObject {
    const found = storeOf(collection).get(key);
    if (found !== undefined) return found;
    const plural = collection.split("/").at(-1);
    throw new Refusal(404, "NotFound", `${plural} "${key}" not found`);
  }

  function remove(collection: string, key: string): StoredObject {
    const found = need(collection, key);
    const finalizers = found.metadata["finalizers"];
    if (Array.isArray(finalizers) && finalizers.length > 0) {
      const deletionTimestamp = found.metadata["deletionTimestamp"] ?? new Date().toISOString();
      return put(collection, found, "MODIFIED", { ...found.metadata, deletionTimestamp });
    }
    version++;
    storeOf(collection).delete(key);
    const metadata = { ...found.metadata, resourceVersion: String(version) };
    const gone = { ...found, metadata };
    record("DELETED", collection, gone);
    collectGarbage(found.metadata.uid);
    return gone;
  }

  /** What the removed object owned goes, too. */
  function collectGarbage(uid: string): void {
    for (const [collection, store] of stores)
      for (const [key, { metadata }] of store) {
        const owners = metadata["ownerReferences"];
        if (!Array.isArray(owners) || owners.length === 0) continue;
        if (owners.every((owner: unknown) => Reflect.get(Object(owner), "uid") === uid))
          remove(collection, key);
      }
  }

  return {
    get version() {
      return version;
    },
    since: (from) =>
      from < forgotten ? undefined : history.filter((event) => event.version > from),
    list: (collection) => [...storeOf(collection).values()],
    get: (collection, key) => storeOf(collection).get(key),
    create: (collection, content) => {
      const given = (content["metadata"] ?? {}) as Fields;
      const generated =
        typeof given["generateName"] === "string"
          ? given["generateName"] + randomUUID().slice(0, 5)
          : "";
      const name = typeof given["name"] === "string" ? given["name"] : generated;
      if (name === "") throw new Refusal(422, "Invalid", "metadata.name: Required value");
      const key = keyOf({ ...given, name });
      if (storeOf(collection).has(key))
        throw new Refusal(409, "AlreadyExists", `${collection} "${key}" already exists`);
      const metadata = {
        ...given,
        name,
        uid: randomUUID(),
        creationTimestamp: new Date().toISOString(),
        generation: 1,
      };
      return put(collection, withoutStatus(collection, content), "ADDED", metadata);
    },
    update: (collection, key, content, part) => {
      const found = need(collection, key);
      const sent = (content["metadata"] ?? {}) as Fields;
      for (const field of ["resourceVersion", "uid"] as const)
        if (sent[field] !== undefined && sent[field] !== found.metadata[field])
          throw new Refusal(409, "Conflict", `${key}: the object has been modified (${field})`);
      const fixed = Object.fromEntries(
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation"]
          .filter((field) => found.metadata[field] !== undefined)
          .map((field) => [field, found.metadata[field]]),
      );
      const status = withStatus.test(collection) ? { status: found["status"] } : {};
      const next: Fields =
        part === "status"
          ? { ...found, status: content["status"] }
          : { ...content, ...status, metadata: { ...sent, ...fixed } };
      const metadata = { ...(next["metadata"] as Fields) };
      delete metadata["resourceVersion"];
      const before = strip(found);
      if (isDeepStrictEqual(strip({ ...prune(collection, next), metadata }), before)) return found;
      const object = put(collection, next, "MODIFIED", metadata);
      const { finalizers } = metadata as { finalizers?: unknown[] };
      const isDone = metadata["deletionTimestamp"] !== undefined && !finalizers?.length;
      return isDone ? remove(collection, key) : object;
    },
    remove,
    compact: () => {
      forgotten = version;
      history = [];
    },
  };

  function withoutStatus(collection: string, content: Fields): Fields {
    if (!withStatus.test(collection)) return content;
    const { status: _, ...rest } = content;
    return rest;
  }
}

/** JSON merge patch (RFC 7396). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object as it crossed the wire, without what each write changes. */
function strip(content: Fields): unknown {
  const { resourceVersion: _, ...metadata } = content["metadata"] as Fields;
  return JSON.parse(JSON.stringify({ ...content, metadata })) as unknown;
}

function keyOf(metadata: Fields): string {
  const { name, namespace } = metadata as { name: string; namespace?: string };
  return namespace === undefined ? name : `${namespace}/${name}`;
}
