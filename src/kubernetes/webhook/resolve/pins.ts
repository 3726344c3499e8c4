import { type Digest, isDigest } from "../../../core/digest.ts";
import { describeFault, type Log } from "../../../core/log.ts";
import type { Abortable } from "../../../core/progress.ts";
import { unlessAborted } from "../../../core/unless-aborted.ts";
import { absentIfMissing, isApiError } from "../../api/api-error.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { followObjects } from "../../api/collection.ts";
import type { ApiObject } from "../../api/objects.ts";
import { webhookPins } from "../../names.ts";
import { pinNamespace } from "../pod/pod-group.ts";

/** Which digest each group of pods got first. */
export interface Pins extends AsyncDisposable {
  /**
   * The digest of a group's pin; `resolve` is asked where there is none, once at a time. It is agreed on
   * with all others that keep pins in the same place: the first that wrote it wins. Where it cannot be
   * written soon it holds here. With `dryRun` nothing is kept. Who stops waiting stops nobody else.
   * Rejects as `resolve` does.
   */
  pin(
    key: string,
    resolve: () => Promise<Digest>,
    options: Abortable & { readonly dryRun?: boolean | undefined },
  ): Promise<Digest>;
  /** How many are known. */
  readonly size: number;
}

export interface PinsOptions {
  readonly api: ClusterApi;
  /** Of the ConfigMap that they are kept in. */
  readonly namespace: string;
  readonly name?: string | undefined;
  /** How many are kept: those used last, of each namespace about alike where there are too many. */
  readonly limit?: number | undefined;
  readonly log: Log;
  /** Told when pins could not be written. */
  readonly onFailure?: (() => void) | undefined;
  /** Milliseconds since the epoch; for tests. */
  readonly now?: (() => number) | undefined;
}

interface ConfigMap extends ApiObject {
  readonly data?: Readonly<Record<string, string>> | undefined;
}

interface Pin {
  readonly digest: Digest;
  /** `2026-11-21`: when it was used last, no finer, so that use costs few writes. */
  readonly day: string;
}

const defaultLimit = 2_000;
/** A pod waits for it. */
const writeMs = 700;
const laterMs = 10_000;
const attempts = 6;

/** Follows the pins in a ConfigMap; it is made with the first one where it is missing. */
export function openPins({
  api,
  namespace,
  name = webhookPins,
  limit = defaultLimit,
  log,
  onFailure,
  now = Date.now,
}: PinsOptions): Pins {
  const collection = `/api/v1/namespaces/${namespace}/configmaps`;
  const path = `${collection}/${name}`;
  const underWay = new Map<string, Promise<Digest>>();
  /** Chosen or used here, and not seen in the ConfigMap so far. */
  const unsaved = new Map<string, Pin>();
  let saved: ReadonlyMap<string, Pin> = new Map();
  /** Of the ConfigMap; undefined where there is none. */
  let version: string | undefined;
  let writing: Promise<void> | undefined;
  let failed = false;

  const today = () => new Date(now()).toISOString().slice(0, 10);
  const following = followObjects<ConfigMap>(
    api,
    { path: collection, fieldSelector: `metadata.name=${name}` },
    {
      onChange: (_, object) => take(object),
      onOutage: (error) => {
        if (error !== undefined) log("pins cannot be followed", describeFault(error));
      },
    },
  );
  const timer = setInterval(() => {
    if (unsaved.size > 0) void save().catch(() => undefined);
  }, laterMs);
  timer.unref();

  function take(object: ConfigMap | undefined): void {
    const next = object?.metadata.resourceVersion;
    // What was written here comes back.
    if (next !== undefined && next === version) return;
    version = next;
    saved = new Map(
      Object.entries(object?.data ?? {}).flatMap(([key, text]) => {
        const pin = parsePin(text);
        return pin === undefined ? [] : [[key, pin]];
      }),
    );
    for (const [key, { digest, day }] of unsaved) {
      const theirs = saved.get(key);
      // Whoever wrote first is right.
      if (theirs !== undefined && (theirs.digest !== digest || theirs.day >= day))
        unsaved.delete(key);
    }
  }

  function find(key: string): Digest | undefined {
    const pin = saved.get(key) ?? unsaved.get(key);
    if (pin !== undefined && pin.day < today()) keep(key, pin.digest);
    return pin?.digest;
  }

  function keep(key: string, digest: Digest): void {
    unsaved.delete(key);
    unsaved.set(key, { digest, day: today() });
    for (const oldest of unsaved.keys()) {
      if (unsaved.size <= limit) break;
      unsaved.delete(oldest);
    }
  }

  async function choose(key: string, resolve: () => Promise<Digest>): Promise<Digest> {
    const digest = await resolve();
    // Somebody else was faster.
    if (saved.has(key)) return find(key) ?? digest;
    keep(key, digest);
    // What is being written now was put together before.
    await writing?.catch(() => undefined);
    await save().catch(() => undefined);
    return find(key) ?? digest;
  }

  /** Writes all that is unsaved, in one go for all who wait. */
  function save(): Promise<void> {
    writing ??= write()
      .then(
        () => {
          if (failed) log("pins are written again");
          failed = false;
        },
        (error: unknown) => {
          if (!failed) log("pins cannot be written: they hold here", describeFault(error));
          failed = true;
          onFailure?.();
          throw error;
        },
      )
      .finally(() => {
        writing = undefined;
      });
    return writing;
  }

  async function write(): Promise<void> {
    const signal = AbortSignal.timeout(writeMs);
    for (let attempt = 1; unsaved.size > 0; attempt++) {
      try {
        take(await send(signal));
      } catch (error) {
        if (!isApiError(error, 404, 409) || attempt === attempts) throw error;
        // Gone, made or changed by somebody else since.
        take(await read(signal));
      }
    }
  }

  async function send(signal: AbortSignal): Promise<ConfigMap> {
    const data = Object.fromEntries([...changes(), ...departures()]);
    if (version === undefined) {
      const metadata = { name, namespace };
      const body = { apiVersion: "v1", kind: "ConfigMap", metadata, data };
      return api.call<ConfigMap>({ method: "POST", path: collection, body }, { signal });
    }
    const body = { metadata: { resourceVersion: version }, data };
    return api.call<ConfigMap>({ method: "PATCH", path, body }, { signal });
  }

  function read(signal: AbortSignal): Promise<ConfigMap | undefined> {
    return api.call<ConfigMap>({ method: "GET", path }, { signal }).catch(absentIfMissing);
  }

  function changes(): [string, string][] {
    return [...unsaved].map(([key, { digest, day }]) => [key, `${digest} ${day}`]);
  }

  /** Those used longest ago, of the namespace that has most: no tenant drives out those of others. */
  function departures(): [string, null][] {
    const others = [...saved]
      .filter(([key]) => !unsaved.has(key))
      .toSorted(([, a], [, b]) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0))
      .map(([key]) => key);
    const excess = others.length + unsaved.size - limit;
    if (excess <= 0) return [];
    const counts = new Map<string, number>();
    const countOf = (key: string) => counts.get(pinNamespace(key)) ?? 0;
    for (const key of [...others, ...unsaved.keys()])
      counts.set(pinNamespace(key), countOf(key) + 1);
    return Array.from({ length: Math.min(excess, others.length) }, () => {
      const most = others.reduce((count, key) => Math.max(count, countOf(key)), 0);
      const at = others.findIndex((key) => countOf(key) === most);
      const [gone = ""] = others.splice(at, 1);
      counts.set(pinNamespace(gone), most - 1);
      return [gone, null];
    });
  }

  return {
    pin: async (key, resolve, { dryRun = false, signal }) => {
      const known = find(key);
      if (known !== undefined) return known;
      if (dryRun) return unlessAborted(resolve(), signal);
      const running = underWay.get(key);
      const chosen =
        running ??
        choose(key, resolve).finally(() => {
          underWay.delete(key);
        });
      underWay.set(key, chosen);
      return unlessAborted(chosen, signal);
    },
    get size() {
      return saved.size;
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await following[Symbol.asyncDispose]();
      await writing?.catch(() => undefined);
    },
  };
}

function parsePin(text: string): Pin | undefined {
  const [digest = "", day = ""] = text.split(" ");
  return isDigest(digest) && /^\d{4}-\d{2}-\d{2}$/.test(day) ? { digest, day } : undefined;
}
