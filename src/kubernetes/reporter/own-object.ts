import { describeFault, type Log } from "../../core/log.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { followObjects } from "../api/collection.ts";
import { type Collection } from "../api/list.ts";
import type { ApiObject } from "../api/objects.ts";

/** One object of the cluster, followed. Disposing ends it. */
export interface OwnObject<T extends ApiObject> extends AsyncDisposable {
  /** Whether it has been looked for yet. */
  readonly isKnown: boolean;
  /** The newest that was seen; undefined where there is none. */
  readonly object: T | undefined;
  /** Takes what a write answered, which is heard of sooner so. */
  accept(object: T): void;
}

export interface OwnObjectOptions {
  readonly collection: Pick<Collection, "path" | "metadataOnly">;
  readonly name: string;
  /** Told after each change. */
  readonly onChange: () => void;
  readonly log: Log;
}

const lateMs = 10_000;

/** Follows it, whether it is there or not. */
export function followOwn<T extends ApiObject>(
  api: ClusterApi,
  { collection, name, onChange, log }: OwnObjectOptions,
): OwnObject<T> {
  let isKnown = false;
  let object: T | undefined;
  let acceptedAt = Number.NEGATIVE_INFINITY;
  const take = (next: T | undefined) => {
    object = next;
    onChange();
  };
  // What the watch brings may be older than the answer to a write; later it is right, whatever its version:
  // a cluster that was restored from a backup counts anew.
  const isLate = (next: T | undefined) =>
    next !== undefined &&
    object !== undefined &&
    isOlder(next, object) &&
    performance.now() - acceptedAt < lateMs;
  const followed = followObjects<T>(
    api,
    { ...collection, fieldSelector: `metadata.name=${name}` },
    {
      onChange: (_, next) => {
        if (!isLate(next)) take(next);
      },
      onOutage: (error) => {
        const { path } = collection;
        if (error === undefined) log("cluster reached again", { path });
        else log("cluster out of reach", { path, error: describeFault(error) });
      },
    },
  );
  const found = followed.synced.then(
    () => {
      isKnown = true;
      onChange();
    },
    () => undefined,
  );
  return {
    get isKnown() {
      return isKnown;
    },
    get object() {
      return object;
    },
    accept: (answer) => {
      // The watch may have been faster, and farther.
      if (object !== undefined && isOlder(answer, object)) return;
      acceptedAt = performance.now();
      take(answer);
    },
    [Symbol.asyncDispose]: async () => {
      await followed[Symbol.asyncDispose]();
      await found;
    },
  };
}

/** Versions of one resource are numbers that grow (Kubernetes 1.35, KEP-5504; etcd's before). */
function isOlder(one: ApiObject, other: ApiObject): boolean {
  if (one.metadata.uid !== other.metadata.uid) return false;
  return Number(one.metadata.resourceVersion) < Number(other.metadata.resourceVersion);
}
